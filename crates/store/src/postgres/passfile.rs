//! Passwords in a file, one `host:port:database:user:password` a line, as libpq reads them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file of passwords that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPassfile {
    /// It cannot be read.
    #[error("{}: the file of passwords cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("{}: others can read this file of passwords; `chmod 600` it", .0.display())]
    Open(PathBuf),
}

/// The password for a server, from the file that was named, from `PGPASSFILE`, or from `~/.pgpass`
/// where there is one. The first line that fits counts; `*` fits everything.
pub(super) fn find(
    named: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
    (host, port, database, user): (&str, u16, &str, &str),
) -> Result<Option<String>, BadPassfile> {
    let named = named.or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None => {
            let home = variable("HOME").map(|home| Path::new(&home).join(".pgpass"));
            match home.filter(|path| path.is_file()) {
                Some(path) => path,
                None => return Ok(None),
            }
        }
    };
    let unreadable = |source| BadPassfile::Unreadable { path: path.clone(), source };
    let mode = std::fs::metadata(&path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(BadPassfile::Open(path));
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    // As libpq has it, sockets of the machine are localhost.
    let host = if host.starts_with('/') { "localhost" } else { host };
    let port = port.to_string();
    let wanted = [host, &port, database, user];
    let fits = |fields: &[String]| {
        fields.len() == 5
            && fields.iter().zip(wanted).all(|(field, is)| field == "*" || field == is)
    };
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(fields);
    Ok(lines.into_iter().find(|fields| fits(fields)).and_then(|fields| fields.into_iter().nth(4)))
}

/// The fields of a line; a backslash takes its meaning from the next character. What follows the
/// fourth colon is the password.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => fields.last_mut().expect("one at least").extend(characters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields.last_mut().expect("one at least").push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".pgpass");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# a word\nother:*:*:*:no\ndb:6000:x:ann:first\\:\\\\half\n*:*:*:*:any:thing\n";
        let (folder, path) = written(text, 0o600);
        let ask = |wanted| find(Some(path.clone()), |_| None, wanted).unwrap();
        assert_eq!(ask(("db", 6000, "x", "ann")).as_deref(), Some("first:\\half"));
        assert_eq!(ask(("db", 6001, "x", "ann")).as_deref(), Some("any:thing"));
        let home = folder.path().display().to_string();
        let by_home = |name: &str| (name == "HOME").then(|| home.clone());
        let found = find(None, by_home, ("db", 6000, "x", "ann")).unwrap();
        assert_eq!(found.as_deref(), Some("first:\\half"), "~/.pgpass is read");
        assert_eq!(find(None, |_| None, ("db", 1, "x", "ann")).unwrap(), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_folder, path) = written("*:*:*:*:secret\n", 0o640);
        let error = find(Some(path), |_| None, ("db", 1, "x", "ann")).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        let error = find(Some("/nowhere".into()), |_| None, ("db", 1, "x", "ann")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere"), "{error}");
    }
}
