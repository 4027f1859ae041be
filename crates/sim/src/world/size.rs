//! An auto-scaler of the world: its settings, who changed them, and what it does when nobody keeps it
//! from it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::name::{ServerName, Version};
use domain::ports::{PortError, Progress, Size, SizeEnd, SizeOrder};
use domain::size::SizeSettings;
use jiff::Timestamp;

use super::SimWorld;

/// The process that ends members which it takes for unwell, or for too many, and starts others.
pub const REPLACING: &str = "replace";

/// The auto-scaler, and what would be set if there were nobody but the others.
#[derive(Debug, Clone)]
pub(super) struct Scaler {
    is: SizeSettings,
    without_us: SizeSettings,
    touched: Option<Timestamp>,
}

impl SimWorld {
    /// The world gets an auto-scaler.
    pub fn set_scaler(&self, settings: SizeSettings) {
        let (is, without_us) = (settings.clone(), settings);
        self.lock().scaler = Some(Scaler { is, without_us, touched: None });
    }

    /// The world as an auto-scaler.
    pub fn size(&self) -> Arc<dyn Size> {
        Arc::new(self.clone())
    }

    /// The settings as they are.
    pub fn size_now(&self) -> Option<SizeSettings> {
        self.lock().scaler.as_ref().map(|scaler| scaler.is.clone())
    }

    /// The settings as they would be if only others had changed them.
    pub fn size_without_us(&self) -> Option<SizeSettings> {
        self.lock().scaler.as_ref().map(|scaler| scaler.without_us.clone())
    }

    /// When somebody else last changed the settings.
    pub fn size_touched(&self) -> Option<Timestamp> {
        self.lock().scaler.as_ref().and_then(|scaler| scaler.touched)
    }

    /// Somebody else changes the settings.
    pub fn touch_size(&self, change: impl Fn(&mut SizeSettings)) {
        let (now, mut inner) = self.present();
        let Some(scaler) = &mut inner.scaler else { return };
        let before = scaler.is.clone();
        change(&mut scaler.is);
        // What they change they want; what they leave is none of their business.
        let (is, wants) = (&scaler.is, &mut scaler.without_us);
        if is.minimum != before.minimum {
            wants.minimum = is.minimum;
        }
        if is.maximum != before.maximum {
            wants.maximum = is.maximum;
        }
        wants.protected.extend(is.protected.difference(&before.protected).cloned());
        wants.protected.retain(|it| is.protected.contains(it) || !before.protected.contains(it));
        wants.suspended.extend(is.suspended.difference(&before.suspended).cloned());
        wants.suspended.retain(|it| is.suspended.contains(it) || !before.suspended.contains(it));
        scaler.touched = Some(now);
    }

    /// The auto-scaler puts another machine in the place of a member, unless it is kept from it. It
    /// tells whether it did.
    pub fn scaler_replaces(&self, name: &ServerName, version: &Version, until: Timestamp) -> bool {
        let settings = self.size_now();
        let free = settings.is_some_and(|settings| {
            !settings.suspended.contains(REPLACING) && !settings.protected.contains(name)
        });
        if free {
            self.replace(name, version, until);
        }
        free
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no auto-scaler")]
struct NoScaler;

fn no_scaler() -> PortError {
    PortError::new("simulated world", "the auto-scaler", domain::ports::Retry::Never, NoScaler)
}

#[async_trait]
impl Size for SimWorld {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.size_now().ok_or_else(no_scaler)
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        let (_, mut inner) = self.present();
        let scaler = inner.scaler.as_mut().ok_or_else(no_scaler)?;
        if scaler.is != order.wanted {
            if !scaler.is.is_between(&order.expected, &order.wanted) {
                return Ok(Progress::Done(SizeEnd::Changed(scaler.is.clone())));
            }
            scaler.is = order.wanted.clone();
        }
        Ok(Progress::Done(SizeEnd::Set))
    }
}
