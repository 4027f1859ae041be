//! The contract against real commands on a little auto-scaler whose settings are files, and what only
//! commands have.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use domain::contract::size as contract;
use domain::name::{FleetName, RolloutId, ServerName};
use domain::ports::Clock;

use super::*;
use crate::clock::SystemClock;
use crate::command::testing::Scratch;

/// Prints the settings.
const OBSERVE: &str = r#"#!/bin/sh
cd "$(dirname "$0")/scaler" || exit 1
list() { ls "$1" | awk '{ printf "%s\"%s\"", (NR > 1 ? "," : ""), $0 }'; }
printf '{"minimum":%s,"maximum":%s,"protected":[%s],"suspended":[%s]}\n' \
    "$(cat minimum)" "$(cat maximum)" "$(list protected)" "$(list suspended)"
"#;

/// Sets them, one after the other.
const ENSURE: &str = r#"#!/bin/sh
cd "$(dirname "$0")/scaler" || exit 1
echo "$PRESURGE_KEY" >> ../runs
if [ -e ../fails ]; then echo "the service is unavailable" >&2; exit 7; fi
if [ -e ../lies ]; then exit 0; fi
if [ -e ../hangs ]; then sleep 600; fi
echo "$PRESURGE_MINIMUM" > minimum
for it in $PRESURGE_PROTECT; do : > "protected/$it"; done
for it in $PRESURGE_UNPROTECT; do rm "protected/$it"; done
for it in $PRESURGE_SUSPEND; do : > "suspended/$it"; done
for it in $PRESURGE_RESUME; do rm "suspended/$it"; done
echo "$PRESURGE_MAXIMUM" > maximum
"#;

struct Little(Scratch);

impl Little {
    fn new() -> Self {
        let scratch = Scratch::new();
        let little = Self(scratch);
        for (name, text) in [("observe", OBSERVE), ("ensure", ENSURE)] {
            let path = little.path(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        little.put(&settings(2, 4, &["web-1"], &[]));
        little
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Somebody else sets everything.
    fn put(&self, settings: &SizeSettings) {
        let scaler = self.path("scaler");
        let _ = fs::remove_dir_all(&scaler);
        for folder in ["protected", "suspended"] {
            fs::create_dir_all(scaler.join(folder)).unwrap();
        }
        fs::write(scaler.join("minimum"), settings.minimum.to_string()).unwrap();
        fs::write(scaler.join("maximum"), settings.maximum.to_string()).unwrap();
        for it in &settings.protected {
            fs::write(scaler.join("protected").join(it.as_str()), "").unwrap();
        }
        for it in &settings.suspended {
            fs::write(scaler.join("suspended").join(it), "").unwrap();
        }
    }

    fn adapter(&self) -> ExecSize {
        self.with(|_| {}).unwrap()
    }

    fn with(&self, change: impl FnOnce(&mut ExecSizeConfig)) -> Result<ExecSize, PortError> {
        let mut config: ExecSizeConfig = serde_json::from_str(
            r#"{ "observe": ["./observe"], "ensure": ["./ensure"], "timeout": "20s" }"#,
        )
        .unwrap();
        change(&mut config);
        ExecSize::new(config, self.0.path(), &self.path("state"))
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).map_or(0, |text| text.lines().count())
    }
}

fn settings(minimum: u32, maximum: u32, protected: &[&str], suspended: &[&str]) -> SizeSettings {
    SizeSettings {
        minimum,
        maximum,
        protected: protected.iter().map(|name| ServerName::new(*name).unwrap()).collect(),
        suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn order(expected: SizeSettings, wanted: SizeSettings) -> SizeOrder {
    SizeOrder {
        key: Key::new("kernel#1/size/7").unwrap(),
        rollout: RolloutId::new("kernel#1").unwrap(),
        fleet: FleetName::new("web").unwrap(),
        expected,
        wanted,
    }
}

async fn pause(length: Duration) {
    SystemClock.sleep_until(SystemClock.now() + length).await;
}

async fn settle(adapter: &ExecSize, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
    loop {
        match adapter.ensure(order).await {
            Ok(Progress::Pending { poll_after }) => pause(poll_after).await,
            answer => return answer,
        }
    }
}

#[async_trait]
impl contract::World for Little {
    fn size(&self) -> Arc<dyn Size> {
        Arc::new(self.adapter())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    fn members(&self) -> Vec<ServerName> {
        (1..=3).map(|n| ServerName::new(format!("web-{n}")).unwrap()).collect()
    }
    fn processes(&self) -> Vec<String> {
        ["balance", "launch"].map(str::to_owned).into()
    }
    async fn set(&self, settings: &SizeSettings) {
        self.put(settings);
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run(async || Little::new()).await;
}

#[tokio::test]
async fn a_run_that_is_under_way_is_awaited_by_whoever_asks_next() {
    let little = Little::new();
    fs::write(little.path("hangs"), "").unwrap();
    let order = order(settings(2, 4, &["web-1"], &[]), settings(3, 6, &[], &["balance"]));
    for _ in 0..5 {
        let answer = little.adapter().ensure(&order).await.unwrap();
        assert!(matches!(answer, Progress::Pending { .. }), "{answer:?}");
        pause(Duration::from_millis(50)).await;
    }
    assert_eq!(little.runs(), 1, "never two at once");
}

#[tokio::test]
async fn a_run_that_fails_is_told_and_made_again() {
    let little = Little::new();
    let wanted = settings(3, 6, &["web-2"], &["balance"]);
    let order = order(settings(2, 4, &["web-1"], &[]), wanted.clone());
    let adapter = little.adapter();
    fs::write(little.path("fails"), "").unwrap();
    for runs in 1..=2 {
        let error = settle(&adapter, &order).await.unwrap_err();
        assert_eq!(error.retry, Retry::Backoff);
        let text = error.chain();
        assert!(text.contains("exit code 7") && text.contains("unavailable"), "{text}");
        assert_eq!(little.runs(), runs);
    }
    fs::remove_file(little.path("fails")).unwrap();
    assert_eq!(settle(&adapter, &order).await.unwrap(), Progress::Done(SizeEnd::Set));
    assert_eq!(adapter.observe().await.unwrap(), wanted);
}

#[tokio::test]
async fn a_command_that_says_well_and_did_nothing_is_found_out() {
    let little = Little::new();
    fs::write(little.path("lies"), "").unwrap();
    let order = order(settings(2, 4, &["web-1"], &[]), settings(3, 6, &[], &[]));
    let text = settle(&little.adapter(), &order).await.unwrap_err().chain();
    assert!(text.contains("exit code 0, and the auto-scaler is 2 to 4 members"), "{text}");
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed() {
    let little = Little::new();
    fs::write(little.path("hangs"), "").unwrap();
    let adapter = little.with(|config| config.timeout = PositiveSpan::seconds(1)).unwrap();
    let order = order(settings(2, 4, &["web-1"], &[]), settings(3, 6, &[], &[]));
    let text = settle(&adapter, &order).await.unwrap_err().chain();
    assert!(text.contains("did not end within 1s and was killed"), "{text}");
}

#[tokio::test]
async fn what_is_no_settings_is_refused_with_what_was_printed() {
    let little = Little::new();
    for (printed, why) in [
        ("", "expected the settings as one JSON document"),
        ("2 8", "expected the settings as one JSON document"),
        (r#"{"minimum":2,"maximum":8,"protected":[]}"#, "missing field `suspended`"),
        (r#"{"minimum":2,"maximum":8,"protected":[],"suspended":[],"desired":3}"#, "`desired`"),
        (r#"{"minimum":-1,"maximum":8,"protected":[],"suspended":[]}"#, "invalid value"),
        (r#"{"minimum":9,"maximum":8,"protected":[],"suspended":[]}"#, "is above the maximum"),
        (r#"{"minimum":2,"maximum":8,"protected":["a b"],"suspended":[]}"#, "a b"),
        (r#"{"minimum":2,"maximum":8,"protected":[],"suspended":[" "]}"#, "without a name"),
        (r#"{"minimum":2,"maximum":8,"protected":[],"suspended":[]} {}"#, "trailing"),
    ] {
        fs::write(little.path("observe"), format!("#!/bin/sh\ncat <<'X'\n{printed}\nX\n")).unwrap();
        let error = little.adapter().observe().await.unwrap_err();
        let text = error.chain();
        assert!(text.contains(why), "{printed}: {text}");
        assert!(text.starts_with("exec: observe the auto-scaler: "), "{text}");
    }
    fs::write(little.path("observe"), "#!/bin/sh\necho no such group >&2; exit 3\n").unwrap();
    let text = little.adapter().observe().await.unwrap_err().chain();
    assert!(text.contains("exit code 3") && text.contains("no such group"), "{text}");
    let absent = little.with(|config| config.observe = vec!["./absent".into()]).unwrap();
    let error = absent.observe().await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("is it there and executable?"), "{}", error.chain());
}

#[test]
fn a_configuration_that_can_never_work_is_refused() {
    let little = Little::new();
    type Change = fn(&mut ExecSizeConfig);
    let bad: [(Change, &str); 3] = [
        (|config| config.observe.clear(), "name a program"),
        (|config| config.ensure = vec!["./ensure".into(), "{server}".into()], "{server}"),
        (|config| drop(config.env.insert("PRESURGE_KEY".into(), "x".into())), "PRESURGE_KEY"),
    ];
    for (change, why) in bad {
        let text = little.with(change).unwrap_err().chain();
        assert!(text.contains(why), "{text}");
    }
}
