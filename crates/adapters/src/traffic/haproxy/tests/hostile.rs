//! Things that listen where HAProxy should, and are something else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn adapter(address: String) -> Haproxy {
    let config = HaproxyConfig {
        socket: None,
        address: Some(address),
        backend: "be".into(),
        timeout: "300ms".parse().unwrap(),
        add_options: default_add_options(),
    };
    Haproxy::new(config, Path::new("/")).unwrap()
}

/// The error of a look at something that answers every command with these bytes.
async fn answering(bytes: &'static [u8]) -> PortError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let haproxy = adapter(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut command = [0; 1024];
            let _ = stream.read(&mut command).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    let error = haproxy.observe().await.expect_err("this is not HAProxy");
    task.abort();
    error
}

#[tokio::test]
async fn a_socket_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = HaproxyConfig {
        socket: Some("gone.sock".into()),
        address: None,
        backend: "be".into(),
        timeout: default_timeout(),
        add_options: default_add_options(),
    };
    let haproxy = Haproxy::new(config, folder.path()).unwrap();
    let error = haproxy.observe().await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    let text = error.chain();
    assert!(text.contains("gone.sock") && text.contains("No such file"), "{text}");
    assert!(text.contains("does HAProxy run"), "{text}");
}

#[tokio::test]
async fn a_port_that_is_closed_may_open_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = adapter(free.to_string()).observe().await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert!(error.chain().contains("refused"), "{}", error.chain());
}

#[tokio::test]
async fn a_silent_listener_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = adapter(listener.local_addr().unwrap().to_string()).observe().await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert!(error.chain().contains("no answer within 0.3 s"), "{}", error.chain());
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let haproxy = adapter(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let error = haproxy.observe().await.unwrap_err();
    task.abort();
    assert!(error.chain().contains("no answer") || error.chain().contains("longer than"));
}

#[tokio::test]
async fn answers_that_are_not_haproxys_are_refused() {
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n<html>".as_slice(),
        b"1\n# be_id srv_name\n\n# pxname,svname\nbe,x\n\n",
        b"1\n# srv_name\nx\n\n# pxname,svname,type\nbe,x,2\n\n",
        b"\n",
        b"\xff\xfe\x00",
    ] {
        let error = answering(bytes).await;
        assert_eq!(error.retry, Retry::Never, "{bytes:?}: {}", error.chain());
        assert!(error.chain().contains("stats socket"), "{}", error.chain());
        assert!(error.chain().len() < 500 && !error.chain().contains(char::is_control));
    }
}

#[tokio::test]
async fn answers_that_break_off_may_come_whole_later() {
    for bytes in [b"".as_slice(), b"1\n# srv_name\nx\n\n# pxname,svname,type\nbe,x"] {
        let error = answering(bytes).await;
        assert_eq!(error.retry, Retry::Backoff, "{bytes:?}: {}", error.chain());
    }
}

/// A HAProxy with thousands of proxies would show the servers of all of them at each look.
#[tokio::test]
async fn once_the_number_of_the_backend_is_known_only_that_proxy_is_asked_about() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let haproxy = adapter(listener.local_addr().unwrap().to_string());
    let task = tokio::spawn(async move {
        let mut commands = Vec::new();
        while commands.len() < 3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut command = [0; 1024];
            let length = stream.read(&mut command).await.unwrap();
            commands.push(String::from_utf8_lossy(&command[..length]).trim().to_owned());
            let answer =
                b"1\n# be_id srv_name srv_admin_state srv_uweight srv_iweight srv_check_state\n\
                7 web-1 0 100 100 6\n\n\
                # pxname,svname,qcur,scur,status,type,check_status,addr,last_chk\n\
                be,web-1,0,0,UP,2,L7OK,127.0.0.1:1,\n\n";
            stream.write_all(answer).await.unwrap();
        }
        commands
    });
    for _ in 0..3 {
        assert_eq!(haproxy.observe().await.unwrap().len(), 1);
    }
    let asked = |proxy: i64| format!("show servers state be;show stat {proxy} 4 -1");
    assert_eq!(task.await.unwrap(), [asked(EVERY_PROXY), asked(7), asked(7)]);
}
