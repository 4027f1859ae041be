use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use domain::name::Key;

use super::testing::{MARK, Other, Scratch, WHERE, eventually, kill_group};
use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn call(scratch: &Scratch, name: &str, script: &str) -> Call {
    Call {
        key: key(name),
        words: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("GREETING".into(), "hello".into())]),
        folder: scratch.path().to_path_buf(),
        timeout: Duration::from_secs(3_600),
    }
}

fn commands(scratch: &Scratch) -> Commands {
    Commands::new(&scratch.path().join("state"))
}

fn home(scratch: &Scratch, name: &str) -> PathBuf {
    scratch.path().join("state/commands").join(escape(name))
}

/// What became of it in the end.
fn end(scratch: &Scratch, call: &Call) -> Run {
    let mut last = Run::Running;
    eventually("the command has ended", || {
        last = commands(scratch).ensure(call).unwrap();
        last != Run::Running
    });
    assert_eq!(commands(scratch).look(&call.key).unwrap(), Some(last.clone()), "a look agrees");
    last
}

#[test]
fn a_command_runs_once_and_leaves_its_code_and_output() {
    let scratch = Scratch::new();
    let script = "echo $GREETING >>ran; echo out; echo err >&2; exit 7";
    let call = call(&scratch, "kernel-6.12#1/web-1/update/1", script);
    assert_eq!(commands(&scratch).look(&call.key).unwrap(), None);
    assert_eq!(commands(&scratch).ensure(&call).unwrap(), Run::Running);
    for _ in 0..3 {
        assert_eq!(end(&scratch, &call), Run::Exited { code: 7, log: "out\nerr".into() });
    }
    let other_words = Call { words: vec!["false".into()], ..call.clone() };
    assert!(matches!(end(&scratch, &other_words), Run::Exited { code: 7, .. }), "one key, one run");
    assert_eq!(fs::read_to_string(scratch.path().join("ran")).unwrap(), "hello\n");
    eventually("nothing is left", || scratch.running().is_empty());
}

#[test]
fn odd_words_reach_the_program_as_they_are() {
    let scratch = Scratch::new();
    let odd = ["$HOME", "a b", "'\"", "*", "-n", "", "ü\n;"];
    let mut call = call(&scratch, "odd", "for word; do printf '[%s]' \"$word\"; done");
    call.words.push("sh".into());
    call.words.extend(odd.map(str::to_owned));
    let log = odd.map(|word| format!("[{word}]")).concat();
    assert_eq!(end(&scratch, &call), Run::Exited { code: 0, log });
}

#[test]
fn what_cannot_be_run_says_so() {
    let scratch = Scratch::new();
    let mut call = call(&scratch, "missing", "");
    call.words = vec!["/no/such/program".into()];
    match end(&scratch, &call) {
        Run::Exited { code: 127, log } => assert!(log.contains("/no/such/program"), "{log}"),
        other => panic!("{other:?}"),
    }
    call.key = key("no-folder");
    call.folder = scratch.path().join("missing");
    let error = commands(&scratch).ensure(&call).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    call.folder = scratch.path().to_path_buf();
    assert_eq!(commands(&scratch).look(&call.key).unwrap(), None, "it has not begun");
    assert!(matches!(end(&scratch, &call), Run::Exited { code: 127, .. }), "and begins now");
}

#[test]
fn a_flood_is_bounded_and_its_end_is_kept() {
    let scratch = Scratch::new();
    let flood = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the reason; exit 1";
    let Run::Exited { code: 1, log } = end(&scratch, &call(&scratch, "flood", flood)) else {
        panic!("it ends with 1");
    };
    assert!(log.ends_with("x\nthe reason"), "{:?}", &log[log.len() - 40..]);
    assert!(log.len() <= MAX_LOG);
    let entries = fs::read_dir(home(&scratch, "flood")).unwrap();
    let kept: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept < 6 * LOG_PIECE as u64 + 4096, "{kept} bytes are kept");
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let scratch = Scratch::new();
    for (name, script) in [
        ("obeys", "echo before; sleep 600 & wait"),
        ("defies", "trap '' TERM; echo before; sleep 600 & sleep 600"),
    ] {
        let mut call = call(&scratch, name, script);
        call.timeout = Duration::from_secs(1);
        assert_eq!(end(&scratch, &call), Run::TimedOut { log: "before".into() }, "{name}");
        eventually("nothing is left", || scratch.running().is_empty());
    }
}

#[test]
fn what_a_command_leaves_running_on_purpose_stays() {
    let scratch = Scratch::new();
    let call = call(&scratch, "daemon", "sleep 300 & echo $! >pid; echo started");
    assert_eq!(end(&scratch, &call), Run::Exited { code: 0, log: "started".into() });
    let pid: i32 = fs::read_to_string(scratch.path().join("pid")).unwrap().trim().parse().unwrap();
    assert!(scratch.running().iter().any(|one| one.pid == pid), "the daemon runs on");
}

#[test]
fn a_command_killed_with_its_wrapper_is_interrupted() {
    let scratch = Scratch::new();
    let call = call(&scratch, "cut", "echo ran >>ran; sleep 600");
    for runs in 1..=3 {
        assert_eq!(commands(&scratch).ensure_again(&call).unwrap(), Run::Running);
        eventually("it has begun", || scratch.lines("ran") == runs);
        assert_eq!(commands(&scratch).look(&call.key).unwrap(), Some(Run::Running));
        kill_group(&scratch, &home(&scratch, "cut").join("started"));
        let run = end(&scratch, &call);
        let Run::Interrupted { detail } = run else { panic!("{run:?}") };
        assert!(detail.contains("killed together with its wrapper"), "{detail}");
    }
    let run = commands(&scratch).ensure_again(&call).unwrap();
    assert!(matches!(run, Run::Interrupted { .. }), "three runs are the most: {run:?}");
    assert_eq!(scratch.lines("ran"), 3);
}

#[test]
fn a_command_that_outlives_its_wrapper_counts_as_running() {
    let scratch = Scratch::new();
    let call = call(&scratch, "orphan", "echo ran >>ran; while [ ! -e go ]; do sleep 0.02; done");
    commands(&scratch).ensure(&call).unwrap();
    eventually("it has begun", || scratch.lines("ran") == 1);
    let stat = fs::read_to_string(home(&scratch, "orphan").join("started")).unwrap();
    let wrapper = Process::parse(&stat).unwrap();
    let all = scratch.running();
    all.iter().find(|one| stat.starts_with(&format!("{} ", one.pid))).unwrap().kill();
    eventually("the wrapper is gone", || !wrapper.lives());
    for _ in 0..3 {
        assert_eq!(commands(&scratch).ensure_again(&call).unwrap(), Run::Running);
    }
    scratch.write("go", "");
    eventually("only the watch is left", || {
        let left = scratch.running();
        left.iter().for_each(testing::Found::kill);
        left.is_empty()
    });
    assert!(matches!(end(&scratch, &call), Run::Interrupted { .. }));
    assert_eq!(scratch.lines("ran"), 1);
}

#[test]
fn a_restart_of_the_machine_is_noticed() {
    let scratch = Scratch::new();
    let call = call(&scratch, "reboot", "echo ran >>ran; sleep 600");
    commands(&scratch).ensure(&call).unwrap();
    eventually("it has begun", || scratch.lines("ran") == 1);
    kill_group(&scratch, &home(&scratch, "reboot").join("started"));
    let file = home(&scratch, "reboot").join("order.json");
    let order = fs::read_to_string(&file).unwrap().replace(&boot_id(), "another-boot");
    fs::write(&file, order).unwrap();
    let Run::Interrupted { detail } = end(&scratch, &call) else { panic!("it was cut short") };
    assert!(detail.contains("the machine was restarted"), "{detail}");
}

#[test]
fn a_record_that_was_changed_is_an_error_with_its_name() {
    let scratch = Scratch::new();
    let call = call(&scratch, "garbled", "true");
    end(&scratch, &call);
    fs::write(home(&scratch, "garbled").join("order.json"), "{").unwrap();
    let error = commands(&scratch).ensure(&call).unwrap_err();
    assert_eq!(error.retry(), domain::ports::Retry::Never);
    assert!(error.to_string().contains("garbled/order.json"), "{error}");
    scratch.write("state-file", "");
    let blocked = Commands::new(&scratch.path().join("state-file"));
    let error = blocked.ensure(&call).unwrap_err().to_string();
    assert!(error.contains("state-file/commands/garbled: cannot make this"), "{error}");
}

#[test]
fn many_at_once_start_one() {
    let scratch = Scratch::new();
    let call = call(&scratch, "many", "echo ran >>ran");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    commands(&scratch).ensure(&call).unwrap();
                }
            });
        }
    });
    assert!(matches!(end(&scratch, &call), Run::Exited { code: 0, .. }));
    assert_eq!(scratch.lines("ran"), 1);
}

const ASKER: &str = "command::tests::asks_until_killed";

/// Asks for one command after the other, saying each.
#[test]
#[ignore = "a process that other tests start and kill"]
fn asks_until_killed() {
    let Some(folder) = std::env::var_os(WHERE) else { return };
    let commands = Commands::new(&PathBuf::from(&folder).join("state"));
    for count in 0.. {
        let call = Call {
            key: key(&format!("k/{count}")),
            words: ["sh", "-c", "echo ran >>ran-$0", &count.to_string()]
                .map(str::to_owned)
                .to_vec(),
            env: BTreeMap::new(),
            folder: PathBuf::from(&folder),
            timeout: Duration::from_secs(3_600),
        };
        commands.ensure(&call).unwrap();
        println!("{MARK}{count}");
    }
}

#[test]
fn askers_that_are_killed_leave_each_command_run_once() {
    let scratch = Scratch::new();
    for round in 0..12 {
        let mut askers = [Other::start(ASKER, scratch.path()), Other::start(ASKER, scratch.path())];
        for asker in &mut askers {
            asker.hear(1 + round * 3);
            std::thread::sleep(Duration::from_micros(300 * round as u64));
            asker.kill();
        }
    }
    let folders = fs::read_dir(scratch.path().join("state/commands")).unwrap();
    let counts: BTreeSet<usize> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_prefix("k%2F").unwrap().parse().unwrap())
        .collect();
    assert!(counts.len() > 30, "{counts:?}");
    for count in counts {
        let mut call = call(&scratch, &format!("k/{count}"), "echo ran >>ran-$0");
        call.words.push(count.to_string());
        assert_eq!(end(&scratch, &call), Run::Exited { code: 0, log: String::new() });
        assert_eq!(scratch.lines(&format!("ran-{count}")), 1, "command {count} ran once");
    }
    eventually("nothing is left", || scratch.running().is_empty());
}

#[test]
fn names_of_folders_are_safe_and_distinct() {
    assert_eq!(escape("kernel-6.12#1/web-1/update/1"), "kernel-6.12%231%2Fweb-1%2Fupdate%2F1");
    let (one, two) = (format!("{}a", "/".repeat(127)), format!("{}b", "/".repeat(127)));
    assert_ne!(escape(&one), escape(&two));
    assert!(escape(&one).len() <= 180 && escape(&one).is_ascii());
}

#[tokio::test]
async fn a_question_is_answered_bounded_and_never_outlived() {
    let scratch = Scratch::new();
    let words = |script: &str| ["sh", "-c", script].map(str::to_owned);
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let limit = Duration::from_secs(20);
    let answer = ask(&words("echo $A; echo e >&2; exit 4"), &env, scratch.path(), limit).await;
    assert_eq!(answer.unwrap(), Answer { code: 4, out: "1\n".into(), err: "e\n".into() });
    let flood = words("head -c 9000000 /dev/zero | tr '\\0' x; exit 5");
    let answer = ask(&flood, &env, scratch.path(), limit).await.unwrap();
    assert_eq!((answer.code, answer.out.len()), (5, MAX_LOG));
    let left = ask(&words("sleep 30 & echo done"), &env, scratch.path(), limit).await.unwrap();
    assert_eq!(left.out, "done\n", "what stays behind does not hold the answer up");
    let limit = Duration::from_millis(300);
    let tag = BTreeMap::from([(TAG.to_owned(), scratch.path().display().to_string())]);
    let hanging = words("sleep 600 & sleep 600");
    let error = ask(&hanging, &tag, scratch.path(), limit).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    eventually("it is killed with its children", || scratch.running().is_empty());
    let error = ask(&["/no/such".to_owned()], &env, scratch.path(), limit).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
