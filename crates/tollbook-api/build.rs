//! Embeds the dashboard: its own files as they stand in `web/`, its libraries as npm has them.
//!
//! The libraries are installed once, by the lock file, into `web/node_modules`. Where that cannot be
//! done the build goes on without the dashboard, and its pages say how to get it.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// What own modules call a library, and its file below `node_modules`.
const LIBRARIES: &[(&str, &str)] = &[
    ("preact", "preact/dist/preact.mjs"),
    ("preact/hooks", "preact/hooks/dist/hooks.mjs"),
    ("@preact/signals-core", "@preact/signals-core/dist/signals-core.mjs"),
    ("@preact/signals", "@preact/signals/dist/signals.mjs"),
    ("htm", "htm/dist/htm.mjs"),
];
/// What is no module, by its name in a page.
const CLASSIC: &[(&str, &str)] =
    &[("vendor/uplot.js", "uplot/dist/uPlot.iife.min.js"), ("vendor/uplot.css", "uplot/dist/uPlot.min.css")];
/// Their packages, each with its licence.
const PACKAGES: &[&str] = &["preact", "@preact/signals-core", "@preact/signals", "htm", "uplot"];
/// Directories of `web/` with files of the dashboard.
const OWN: &[&str] = &["", "lib", "parts", "pages"];
/// Modules of these are fetched with the page; the others when they are needed.
const FIRST: &[&str] = &["vendor/", "lib/", "parts/"];
/// An installation that takes longer counts as impossible.
const INSTALL_TIME: Duration = Duration::from_secs(120);

/// A file of the dashboard, by its path below the build's address.
struct File {
    path: String,
    bytes: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = own(&web)?;
    for name in ["package.json", "package-lock.json"] {
        tell(&format!("rerun-if-changed={}", web.join(name).display()))?;
    }
    match libraries(&web) {
        Ok(libraries) => files.extend(libraries),
        Err(why) => {
            tell(&format!("warning=built without the dashboard: {why}"))?;
            files.clear();
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(fs::write(out.join("dashboard.rs"), table(&files, &out)?)?)
}

/// Says something to cargo.
fn tell(what: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "cargo::{what}")
}

/// The dashboard's own files.
fn own(web: &Path) -> Result<Vec<File>, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in OWN {
        let place = web.join(folder);
        // A file that is added shows in its directory; the top one also holds what npm makes.
        if !folder.is_empty() {
            tell(&format!("rerun-if-changed={}", place.display()))?;
        }
        for entry in fs::read_dir(&place)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if media(&name).is_none() {
                continue;
            }
            let path = place.join(&name);
            tell(&format!("rerun-if-changed={}", path.display()))?;
            let path_below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let bytes = match path_below.ends_with(".js") {
                true => slim(&fs::read_to_string(&path)?).into_bytes(),
                false => fs::read(&path)?,
            };
            files.push(File { path: path_below, bytes });
        }
    }
    Ok(files)
}

/// A module of our own without what only its readers need: `/** … */`, lines that are comments, and
/// what lines are indented by. Own modules write no such thing inside a text.
fn slim(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/**") {
        kept.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let lines = kept.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::with_capacity(kept.len()), |text, line| text + line + "\n")
}

/// The libraries and their licences, installed if they are missing.
fn libraries(web: &Path) -> Result<Vec<File>, String> {
    let modules = web.join("node_modules");
    let is_there = || LIBRARIES.iter().chain(CLASSIC).all(|(_, path)| modules.join(path).is_file());
    if !is_there() {
        install(web)?;
    }
    let read = |path: &str| fs::read(modules.join(path)).map_err(|error| format!("{path}: {error}"));
    let mut files = Vec::new();
    for (name, path) in LIBRARIES {
        files.push(File { path: vendored(name), bytes: read(path)? });
    }
    for (name, path) in CLASSIC {
        files.push(File { path: (*name).to_owned(), bytes: read(path)? });
    }
    let mut licences = Vec::new();
    for package in PACKAGES {
        licences.extend(format!("{package}\n\n").into_bytes());
        licences.extend(read(&format!("{package}/LICENSE"))?);
        licences.extend(b"\n\n");
    }
    files.push(File { path: "vendor/licences.txt".to_owned(), bytes: licences });
    Ok(files)
}

/// `@preact/signals` is `vendor/preact-signals.mjs`.
fn vendored(name: &str) -> String {
    format!("vendor/{}.mjs", name.trim_start_matches('@').replace('/', "-"))
}

/// Has npm install what the lock file names.
fn install(web: &Path) -> Result<(), String> {
    let flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--loglevel=error"];
    let mut npm = Command::new("npm");
    npm.arg("ci").args(flags).current_dir(web);
    // Cargo reads what this program prints.
    npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut npm = npm.spawn().map_err(|error| format!("npm cannot be started: {error}"))?;
    let since = Instant::now();
    loop {
        match npm.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("npm ci failed, {status}")),
            None if since.elapsed() > INSTALL_TIME => {
                let _ = npm.kill();
                let _ = npm.wait();
                return Err(format!("npm ci takes longer than {} s", INSTALL_TIME.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The media type of a file that is served; nothing for what is not.
fn media(path: &str) -> Option<&'static str> {
    let (_, kind) = path.rsplit_once('.')?;
    match kind {
        "js" | "mjs" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        "html" => Some("text/html; charset=utf-8"),
        _ => None,
    }
}

/// The Rust source of the table of files, with what is in pages.
fn table(files: &[File], out: &Path) -> Result<String, Box<dyn Error>> {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(format!("{} {}\n", file.path, file.bytes.len()));
        digest.update(&file.bytes);
    }
    let build: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let base = format!("/assets/{build}");
    let map = import_map(&base);
    let packed = out.join("dashboard");
    fs::create_dir_all(&packed)?;
    let mut text = format!(
        "/// A name for all of these files together.\npub const BUILD: &str = {build:?};\n\
         /// The digest of the map of modules in pages, as a policy names it.\npub const IMPORT_MAP_SHA256: &[u8] = &{:?};\n\
         /// What pages begin with, by their names.\npub const PAGES: &[(&str, &str)] = &[\n",
        Sha256::digest(&map).as_slice()
    );
    let (pages, assets): (Vec<&File>, Vec<&File>) =
        files.iter().partition(|file| file.path.ends_with(".html"));
    let preloads = preloads(&base, &assets);
    for page in pages {
        let written = std::str::from_utf8(&page.bytes)?.replace("{base}", &base);
        let written = written.replace("{importmap}", &map).replace("{preloads}", &preloads);
        writeln!(text, "    ({:?}, {written:?}),", page.path.trim_end_matches(".html"))?;
    }
    text.push_str("];\n/// All files, by their paths.\npub const FILES: &[File] = &[\n");
    for (nth, file) in assets.iter().enumerate() {
        let (plain, gzip) = (packed.join(nth.to_string()), packed.join(format!("{nth}.gz")));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&file.bytes)?;
        fs::write(&plain, &file.bytes)?;
        fs::write(&gzip, encoder.finish()?)?;
        writeln!(
            text,
            "    File {{ path: {:?}, media: {:?}, plain: include_bytes!({plain:?}), gzip: include_bytes!({gzip:?}) }},",
            file.path,
            media(&file.path).unwrap_or("application/octet-stream"),
        )?;
    }
    text.push_str("];\n");
    Ok(text)
}

/// What own modules call a library, and where it is.
fn import_map(base: &str) -> String {
    let entries = LIBRARIES.iter().map(|(name, _)| format!("\"{name}\":\"{base}/{}\"", vendored(name)));
    format!("{{\"imports\":{{{}}}}}", entries.collect::<Vec<_>>().join(","))
}

/// Has the browser fetch modules at once that it would find one after the other.
fn preloads(base: &str, assets: &[&File]) -> String {
    // Classic scripts and sheets are named by pages themselves.
    let is_module = |path: &str| path.ends_with("js") && CLASSIC.iter().all(|(name, _)| *name != path);
    let is_first =
        |file: &&&File| FIRST.iter().any(|folder| file.path.starts_with(folder)) && is_module(&file.path);
    let link = |file: &&File| format!("<link rel=\"modulepreload\" href=\"{base}/{}\">", file.path);
    assets.iter().filter(is_first).map(link).collect::<Vec<_>>().join("\n")
}
