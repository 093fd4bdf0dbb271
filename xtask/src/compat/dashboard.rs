//! The dashboard in a browser, against a real server (`compat/dashboard/proof.mjs`), and its modules' types
//! against those that follow from the API's document.

use super::install;
use super::process::{bounded, text};
use super::stand::{ADMIN_KEY, Place, serve};
use crate::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where Debian puts its browser.
const CHROMIUM: &str = "/usr/bin/chromium";
const INSTALL_TIME: Duration = Duration::from_secs(400);
const TYPES_TIME: Duration = Duration::from_secs(120);
const PROOF_TIME: Duration = Duration::from_secs(900);
/// No provider is asked.
const NO_UPSTREAM: &str = "http://127.0.0.1:9";

/// What looks at the dashboard, installed below this directory.
pub fn install(place: &Path) -> Result<PathBuf, String> {
    let tools = place.join("browser");
    install::node(&tools, "compat/dashboard")?;
    if !Path::new(CHROMIUM).exists() {
        let apt = |args: &[&str]| bounded(Command::new("apt-get").args(args), INSTALL_TIME);
        apt(&["update", "-q"])?;
        apt(&["install", "-yq", "--no-install-recommends", "chromium", "fonts-dejavu-core"])?;
    }
    Ok(tools)
}

/// Checks the types, then every page.
pub fn check(tools: &Path, place: &Place) -> Result<String, String> {
    let web = root().join("web");
    if !web.join("node_modules").exists() {
        return Err("the binary has no dashboard: npm could not install its libraries".to_owned());
    }
    let tool = |name: &str| Command::new(tools.join("node_modules/.bin").join(name));
    let document = root().join("docs/openapi.json");
    let types = web.join("types/api.d.ts");
    bounded(tool("openapi-typescript").arg(document).arg("--output").arg(types), TYPES_TIME)?;
    bounded(tool("tsc").arg("--project").arg(web.join("tsconfig.json")), TYPES_TIME)?;
    for name in ["proof.mjs", "names.mjs"] {
        std::fs::copy(root().join("compat/dashboard").join(name), tools.join(name)).map_err(text)?;
    }
    let server = serve(place, "dashboard", NO_UPSTREAM, "")?;
    let pictures = place.root.join("pictures");
    std::fs::create_dir_all(&pictures).map_err(text)?;
    let mut proof = Command::new("node");
    proof.current_dir(tools).args(["proof.mjs", &server.url, ADMIN_KEY]).arg(&pictures);
    let said = bounded(proof.env("CHROMIUM", CHROMIUM), PROOF_TIME)?;
    Ok(format!("types, {}", said.trim()))
}
