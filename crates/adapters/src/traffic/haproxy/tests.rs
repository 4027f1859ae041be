use std::sync::Arc;
use std::time::Duration;

use domain::contract::traffic as contract;
use domain::ports::BackendState;

use super::*;
use crate::clock::SystemClock;

mod hostile;
mod world;

use crate::traffic::testing::{Server as RealServer, pause};
use world::World;

/// Whether the real HAProxy is here; CI installs it.
fn have_haproxy() -> bool {
    let found = std::process::Command::new("haproxy").arg("-v").output().is_ok();
    if !found {
        println!("skipped: haproxy is not on the PATH");
    }
    found
}

fn wish(server: &RealServer, wanted: Wanted) -> Admission {
    let target = server.target();
    Admission { key: domain::name::Key::of(&["test", target.server.as_str()]), target, wanted }
}

async fn done(haproxy: &dyn Traffic, admission: &Admission) {
    for _ in 0..200 {
        match haproxy.ensure_admission(admission).await.unwrap() {
            Progress::Done(_) => return,
            Progress::Pending { poll_after } => pause(poll_after).await,
            Progress::Unknown { detail } => panic!("{detail}"),
        }
    }
    panic!("{admission:?} is still not done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_over_a_unix_socket() {
    if have_haproxy() {
        contract::run(async || World::start(world::Api::Unix).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_over_tcp() {
    if have_haproxy() {
        contract::run(async || World::start(world::Api::Tcp).await).await;
    }
}

/// Fast requests hide a kill without drain behind retries; requests that take seconds show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_three_seconds_survive_a_drain() {
    if !have_haproxy() {
        return;
    }
    let mut world = World::start(world::Api::Unix).await;
    let slow = world.start_slow_requests(9).await;
    let haproxy = world.adapter();
    let victim = world.servers[0].name.clone();
    done(&haproxy, &wish(&world.servers[0], Wanted::Drain)).await;
    world.servers[0].kill().await;
    let answers = world::finish(slow).await;
    assert!(answers.iter().all(|answer| answer.as_deref() == Ok("slow")), "{answers:?}");
    world.servers[0].restart().await;
    done(&haproxy, &wish(&world.servers[0], Wanted::Admit(100))).await;
    let answered = contract::World::requests(&world, 30).await.unwrap();
    assert!(answered.contains_key(&victim), "{answered:?}");
}

/// The negative control of the test above: without it, that one proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_three_seconds_fail_without_a_drain() {
    if !have_haproxy() {
        return;
    }
    let mut world = World::start(world::Api::Unix).await;
    let slow = world.start_slow_requests(9).await;
    world.servers[0].kill().await;
    let answers = world::finish(slow).await;
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    assert!(failed > 0, "a third of the requests was at the server that was killed: {answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_is_sick_gets_no_request() {
    if !have_haproxy() {
        return;
    }
    let world = World::start(world::Api::Tcp).await;
    world.spare.set_healthy(false);
    let (haproxy, admission) = (world.adapter(), wish(&world.spare, Wanted::Admit(100)));
    for _ in 0..10 {
        let answer = haproxy.ensure_admission(&admission).await.unwrap();
        assert!(matches!(answer, Progress::Pending { .. }), "{answer:?}");
        pause(CHECK_POLL).await;
    }
    let answered = contract::World::requests(&world, 20).await.unwrap();
    assert!(!answered.contains_key(&world.spare.name), "{answered:?}");
    world.spare.set_healthy(true);
    done(&haproxy, &admission).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_that_was_cut_short_still_gets_its_health_check() {
    if !have_haproxy() {
        return;
    }
    let world = World::start(world::Api::Tcp).await;
    let haproxy = world.adapter();
    haproxy.add(&world.spare.target(), 100).await.unwrap();
    world.spare.set_healthy(false);
    let answer = haproxy.ensure_admission(&wish(&world.spare, Wanted::Admit(100))).await.unwrap();
    assert!(matches!(answer, Progress::Pending { .. }), "{answer:?}");
    pause(Duration::from_secs(2)).await;
    let table = haproxy.read().await.unwrap();
    assert_eq!(table.find(&world.spare.name).unwrap().state(), BackendState::Down);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_servers_are_found_again_when_the_proxies_have_other_numbers() {
    if !have_haproxy() {
        return;
    }
    let world = World::start(world::Api::Unix).await;
    let haproxy = world.adapter();
    assert_eq!(haproxy.proxy.load(Ordering::Relaxed), EVERY_PROXY);
    let names =
        |backends: Vec<Backend>| -> Vec<_> { backends.into_iter().map(|b| b.server).collect() };
    let all = names(haproxy.observe().await.unwrap());
    let known = haproxy.proxy.load(Ordering::Relaxed);
    assert!(all.len() == 3 && known > 0, "{all:?} {known}");
    // As after a reload: the number is that of another proxy, or of none.
    for other in [known - 1, 4_711] {
        haproxy.proxy.store(other, Ordering::Relaxed);
        assert_eq!(names(haproxy.observe().await.unwrap()), all);
        assert_eq!(haproxy.proxy.load(Ordering::Relaxed), known);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_haproxy_refuses_is_said_in_its_words() {
    if !have_haproxy() {
        return;
    }
    let world = World::start(world::Api::Unix).await;
    let mut config = world.config();
    config.backend = "frontend".into();
    let wrong = Haproxy::new(config, Path::new("/")).unwrap();
    let error = wrong.observe().await.unwrap_err();
    assert!(error.chain().ends_with("HAProxy has no backend frontend"), "{}", error.chain());
    assert_eq!(error.retry, Retry::Never);

    let mut config = world.config();
    config.add_options = "frobnicate".into();
    let wrong = Haproxy::new(config, Path::new("/")).unwrap();
    let error = wrong.ensure_admission(&wish(&world.spare, Wanted::Admit(100))).await.unwrap_err();
    assert!(error.chain().contains("unknown keyword 'frobnicate'"), "{}", error.chain());
    assert_eq!(error.retry, Retry::Never);

    let mut config = world.config();
    config.socket = Some(world.folder.path().join("user.sock"));
    let weak = Haproxy::new(config, Path::new("/")).unwrap();
    let error = weak.ensure_admission(&wish(&world.servers[0], Wanted::Drain)).await.unwrap_err();
    assert!(error.chain().contains("needs `level admin`"), "{}", error.chain());
    assert_eq!(error.retry, Retry::Never);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let read = |text: &str| -> Result<Haproxy, String> {
        let config = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Haproxy::new(config, Path::new("/etc")).map_err(|error| error.chain())
    };
    let good = read(r#"{"socket":"run/admin.sock","backend":"be"}"#).unwrap();
    assert_eq!(good.runtime.place().to_string(), "/etc/run/admin.sock");
    assert!(read(r#"{"address":"[::1]:9999","backend":"be","timeout":"500ms"}"#).is_ok());
    for (text, expected) in [
        (r#"{"backend":"be"}"#, "give either socket or address"),
        (r#"{"socket":"a","address":"b:1","backend":"be"}"#, "give either socket or address"),
        (r#"{"address":"b","backend":"be"}"#, "address is not host:port"),
        (r#"{"socket":"a","backend":"be;show info"}"#, "backend is not the name"),
        (r#"{"socket":"a","backend":"be","addOptions":"check; del server"}"#, "addOptions has"),
        (r#"{"socket":"a","backend":"be","timeout":"0s"}"#, "above zero is needed"),
        (r#"{"socket":"a","backend":"be","sockets":[]}"#, "unknown field"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// A server as HAProxy tells of it; `weights` are the set one and the full one.
fn told(status: &str, check_status: &str, admin: u64, weights: &str) -> Server {
    let text = format!(
        "1\n# srv_name srv_admin_state srv_uweight srv_iweight srv_check_state\n\
         web-1 {admin} {weights} 6\n\n\
         # pxname,svname,qcur,scur,status,type,check_status,addr,last_chk\n\
         be,web-1,0,0,{status},2,{check_status},127.0.0.1:1,\"a, b\"\n\n"
    );
    let table = Table::parse(&text, "be").unwrap();
    table.find(&ServerName::new("web-1").unwrap()).unwrap().clone()
}

fn state(status: &str, check_status: &str, admin: u64, weight: u32) -> (BackendState, bool) {
    let server = told(status, check_status, admin, &format!("{weight} 100"));
    (server.state(), server.serves())
}

#[test]
fn a_weight_is_a_share_of_the_full_one_and_never_nothing() {
    let weights = |full: u32| {
        let server = told("UP", "L7OK", 0, &format!("{full} {full}"));
        [1, 50, 100].map(|percent| server.weight_at(percent))
    };
    assert_eq!(weights(100), [Some(1), Some(50), Some(100)]);
    assert_eq!(weights(256), [Some(3), Some(128), Some(256)]);
    assert_eq!(weights(1), [Some(1), Some(1), Some(1)]);
    assert_eq!(weights(0), [None, None, None]);
}

#[test]
fn only_a_server_that_is_up_and_checked_serves() {
    use BackendState::{Down, Drained, InService};
    assert_eq!(state("UP", "L7OK", 0, 100), (InService, true));
    assert_eq!(state("UP", "* L4OK", 0, 100), (InService, true));
    assert_eq!(state("no check", "", 0, 100), (InService, true));
    assert_eq!(state("UP 1/2", "L7STS", 0, 100), (InService, false));
    assert_eq!(state("UP", "L4CON", 0, 100), (InService, false));
    assert_eq!(state("UP 0/2", "INI", 0, 100), (InService, false));
    assert_eq!(state("UP", "L7OK", 0, 0), (Drained, false));
    assert_eq!(state("DOWN", "L4CON", 0, 100), (Down, false));
    assert_eq!(state("DOWN 1/2", "L7OK", 0, 100), (Down, false));
    assert_eq!(state("NOLB", "L7OKC", 0, 100), (Down, false));
    assert_eq!(state("DRAIN", "L7OK", 8, 100), (Drained, false));
    assert_eq!(state("MAINT", "", 1, 100), (Drained, false));
    assert_eq!(state("MAINT (resolution)", "", 32, 100), (Down, false));
}
