//! Encryption: what was asked for happens, or nothing does.

use std::path::PathBuf;
use std::process::Command;

use domain::ports::Retry;
use store::Store;

use crate::open;
use crate::server::Server;

/// A key and a certificate for `localhost`: of an authority, or of one that signs itself.
fn certificate(server: &Server, name: &str, authority: Option<&str>) -> Option<PathBuf> {
    let path = |name: &str, end: &str| server.path(&format!("{name}.{end}"));
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(path(name, "key"))
        .arg("-out")
        .arg(path(name, "crt"));
    if let Some(authority) = authority {
        command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-CA"]);
        command.arg(path(authority, "crt")).arg("-CAkey").arg(path(authority, "key"));
    }
    let made = command.output();
    if made.is_ok_and(|made| made.status.success()) {
        server.own(&path(name, "key"));
        return Some(path(name, "crt"));
    }
    eprintln!("skipped: openssl 3 is not on the PATH; `scripts/test` installs it");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_what_was_asked_for() {
    let Some(mut server) = Server::start() else { return };
    let at = |host: &str, mode: &str| {
        open(&format!("postgres://presurge@{host}:{}/presurge?{mode}", server.port))
    };
    for mode in ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"] {
        let Err(error) = at("localhost", mode).check().await else {
            panic!("{mode}: the server has no TLS")
        };
        assert!(error.chain().contains("no encrypted connection"), "{mode}: {}", error.chain());
        assert_eq!(error.retry, Retry::Never);
    }
    let Some(authority) = certificate(&server, "authority", None) else { return };
    let Some(own) = certificate(&server, "own", Some("authority")) else { return };
    let Some(other) = certificate(&server, "other", None) else { return };
    let key = server.path("own.key");
    server.crash();
    let access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
    std::fs::write(server.path("data").join("pg_hba.conf"), access).unwrap();
    let settings = format!(
        "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
        own.display(),
        key.display()
    );
    std::fs::write(server.path("data").join("postgresql.auto.conf"), settings).unwrap();
    server.resume();
    let at = |host: &str, mode: &str| {
        open(&format!("postgres://presurge@{host}:{}/presurge?{mode}", server.port))
    };
    let [own, other, authority] = [own, other, authority].map(|path| path.display().to_string());
    for (host, mode) in [
        ("localhost", "sslmode=require".to_owned()),
        ("localhost", format!("sslmode=verify-full&sslrootcert={authority}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={authority}")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={authority}")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={own}")),
    ] {
        let answer = at(host, &mode).check().await;
        answer.unwrap_or_else(|error| panic!("{host} {mode}: {}", error.chain()));
    }
    let encrypted = "SELECT bool_and(ssl) AND count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity \
                     USING (pid) WHERE application_name = 'presurge'";
    let holding = at("localhost", "sslmode=require");
    holding.check().await.unwrap();
    assert_eq!(server.sql("presurge", encrypted), "t");
    for (host, mode, text) in [
        ("localhost", "sslmode=disable".to_owned(), "no encryption"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={authority}"), "not valid for name"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={own}"), "not valid for name"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "certificate"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "certificate"),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), "certificate"),
    ] {
        let error = at(host, &mode).check().await.expect_err(&mode);
        assert!(error.chain().contains(text), "{host} {mode}: {}", error.chain());
    }
}
