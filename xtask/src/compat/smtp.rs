//! A real mail server, which a server's alerts go to, and a parser that is not ours.

use super::process::bounded;
use super::stand::{ADMIN_KEY, Place, serve_in};
use crate::root;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CHECK_TIME: Duration = Duration::from_secs(90);
/// Nobody listens there: no call is made.
const NO_PROVIDER: &str = "http://127.0.0.1:9";

/// Has a server write letters to the mail server at this interpreter.
pub fn check(python: &Path, place: &Place) -> Result<String, String> {
    let script = || {
        let mut command = Command::new(python);
        command.arg(root().join("compat/smtp.py"));
        command
    };
    let certificates = place.root.join("smtp-certificates");
    bounded(script().arg("certify").arg(&certificates), CHECK_TIME)?;
    // The usual way to have a program trust an authority of one's own.
    let trusted = certificates.join("authority.pem");
    let server = serve_in(place, "smtp", NO_PROVIDER, "", &[("SSL_CERT_FILE", &trusted)])?;
    let mut check = script();
    check.arg("check").arg(&certificates).args([&server.url, ADMIN_KEY]);
    Ok(bounded(&mut check, CHECK_TIME)?.trim().to_owned())
}
