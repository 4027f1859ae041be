//! Forecasts of load: a series goes in, and calibrated quantiles and sampled futures come out.
//!
//! [`hygiene`] makes a regular series from raw samples. [`auto`] finds its seasons, fits every
//! model, lets them forecast from past origins, chooses the best combination by pinball loss at
//! the levels that planning reads, and turns the errors that were made into intervals
//! (split conformal, per horizon). Nothing here does I/O, reads a clock, or draws a random number
//! except from a seed that is passed in; the same input gives the same output to the last bit.
//!
//! ```
//! use domain::forecast::Probability;
//! use domain::series::Sample;
//! use forecast::{Options, auto, hygiene};
//!
//! // Three weeks of hourly requests per second: a day with a peak, and a little unrest.
//! let samples: Vec<Sample> = (0..21 * 24)
//!     .map(|hour| Sample {
//!         at: jiff::Timestamp::from_second(hour * 3_600).unwrap(),
//!         value: 100.0 + 50.0 * ((hour % 24) as f64 / 24.0 * 6.283).sin() + (hour * 7 % 11) as f64,
//!     })
//!     .collect();
//!
//! let clean = hygiene::clean(&samples, &hygiene::Hygiene::default())?;
//! assert!(clean.warnings.is_empty());
//!
//! let mut forecaster = auto(&clean.series, &Options::default())?;
//! assert_eq!(forecaster.report().seasons.shortest(), Some(24));
//!
//! let levels = [0.05, 0.5, 0.95].map(|level| Probability::new(level).unwrap());
//! let forecast = forecaster.forecast(24, &levels)?;
//! assert!(forecast.quantiles.iter().all(|row| row[0] <= row[1] && row[1] <= row[2]));
//!
//! let paths = forecaster.paths(24, 100, 7)?;
//! assert_eq!((paths.count(), paths.steps()), (100, 24));
//!
//! // A new sample moves the forecaster on without a new fit, and says what has changed.
//! let events = forecaster.update(Sample { at: forecast.start, value: 103.0 })?;
//! assert!(events.is_empty() && forecaster.refit_due().is_none());
//!
//! // The state outlives the process.
//! let again = forecast::AutoForecaster::load(&forecaster.save()).unwrap();
//! assert_eq!(again.forecast(24, &levels)?, forecaster.forecast(24, &levels)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! | step | module | source |
//! | --- | --- | --- |
//! | seasons | [`season`] | leave-one-cycle-out R² of clock and autocorrelation candidates |
//! | models | [`models`] | regressions after Doornik, Castle and Hendry (2020), smoothing after Taylor (2003) and Hyndman et al. (2008), Theta after Fiorucci et al. (2016), MSTL after Bandara et al. (2021), Prophet after Taylor and Letham (2018), a network after Hochreiter and Schmidhuber (1997) and Wen et al. (2017) |
//! | components | [`models::prophet`] | trend, seasons, events and regressors of Prophet, for plots |
//! | events and outside series | [`signals`] | held-out loss, beside the same signal at other times |
//! | choice | [`Report`] | pinball loss over rolling origins; combinations after Bates and Granger (1969) |
//! | demand | [`AutoForecaster::update_at_saturation`] | Tobit regression (1958) above lower bounds; outages are gaps |
//! | live choice | [`AutoForecaster::update`] | exponential weights with a fixed share, Cesa-Bianchi et al. (2012) |
//! | drift | [`Event::Drifted`] | cumulative sums, Page (1954); false alarms after Siegmund (1985) |
//! | intervals | [`AutoForecaster::forecast`] | split conformal with local scale, Lei et al. (2018), and quantile tracking, Angelopoulos et al. (2023) |
//! | futures | [`AutoForecaster::paths`] | Schaake shuffle, Clark et al. (2004), loosened until past maxima fit |
//! | capacity of a server | [`capacity`] | utilisation law and M/M/1, robust lines, block bootstrap, Künsch (1989) |
//! | scores | [`metrics`], [`backtest`], live: [`Scores`] | M4 competition, Makridakis et al. (2020) |

mod auto;
pub mod backtest;
mod calibrate;
pub mod capacity;
mod classical;
mod demand;
mod drift;
mod experts;
mod guard;
pub mod hygiene;
mod linear;
pub mod metrics;
pub mod models;
mod paths;
mod quantile;
mod rolling;
mod scores;
pub mod season;
mod select;
pub mod settings;
pub mod signals;
mod state;

pub use auto::{
    Account, Adaptation, Added, AutoForecaster, BandReport, Budget, Event, Failure, Fleet,
    ForecastError, ModelChoice, ModelReport, Note, Options, RefitReason, Report, SeasonChoice,
    ThreadClock, auto, forecast_many,
};
pub use drift::Drift;
pub use scores::{Scored, Scores};
pub use state::StateError;
