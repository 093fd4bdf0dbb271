//! `tollbook serve`: the gateway, the API, and what they stand on, wired together.
//!
//! The data plane has threads of its own, one per core; the control plane has the main thread. Both
//! write through the one ledger.

mod admission;
mod banner;
mod control;
mod demo;
mod figures;
mod flights;
mod options;
mod presence;
mod upkeep;

pub use options::{channels as configured_channels, check};
pub use presence::{FILE as PRESENCE_FILE, Told};

use crate::cli::ServeArgs;
use crate::clock::SystemClock;
use crate::config::{Config, env, value};
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::wire::LinkView;
use admission::Budgeted;
use banner::Banner;
use control::ControlPlane;
use presence::Presence;
use std::sync::Arc;
use std::time::Duration;
use tollbook_gateway::Server;
use tollbook_ledger::{By, Health, Ledger, NewKey, keys};
use tollbook_types::{Attribution, Role, Timestamp};

/// The shortest admin key that a person may choose.
const ADMIN_KEY_BYTES_MIN: usize = 24;
/// How long running answers have when the server ends, unless configured.
const GRACE: Duration = Duration::from_secs(30);

/// Runs the server until it is told to end.
pub fn run(args: &ServeArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let listen = match &args.listen {
        Some(text) => value::address(text).map_err(Failure::usage)?,
        None => config.listen.value,
    };
    let admin_key = admin_key()?;
    if !listen.ip().is_loopback() && admin_key.is_none() {
        return Err(Failure::config(vec![format!(
            "listening on {listen} lets others reach the server, and no admin key is set"
        )])
        .hint(format!("set {} to a secret text, or listen on 127.0.0.1", env::ADMIN_KEY)));
    }
    start_log();
    let mut options = options::gateway(config, listen)?;
    let channels = options::channels(config)?;
    let ledger = Arc::new(open::write_with(config, out, args.demo.then_some(demo::PRICES))?);
    let clock = Arc::new(SystemClock);
    let control = ControlPlane::start(&ledger, clock.clone(), config, channels, args.demo)?;
    if let Some(address) = control.demo {
        options.upstreams.push(options::demo(address));
    }
    open::enforce_budgets(&ledger, config)?;
    let made = prepare_keys(&ledger, admin_key.as_deref())?;
    let grace = config.gateway.shutdown_grace_s.map_or(GRACE, Duration::from_secs);
    let names = options.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let is_tls = options.tls.is_some();
    let admission = Arc::new(Budgeted::new(ledger.clone(), options.budget_status));
    let server = Server::start(options, ledger.clone(), admission, control.handle(), clock)
        .map_err(|error| Failure::new(error.to_string()))?;
    control.watch(&server);
    let url = format!("{}://{}", if is_tls { "https" } else { "http" }, server.address());
    let token = keys::new_text()?;
    ledger.trust_local("local", &token)?;
    let told = Told { url: url.clone(), token, pid: std::process::id() };
    let presence = Presence::announce(&config.data_dir.value, &told)?;
    // Who reads what a server on this machine prints may use its data directory, too.
    let link = if listen.ip().is_loopback() { sign_in_link(&ledger)? } else { None };
    let sign_in =
        link.map(|link| format!("{}{}", config.public_url(&url), LinkView::of(link.0, link.1).path));
    Banner { url: &url, sign_in, keys: made.as_ref(), is_demo: args.demo, upstreams: names }.print(out)?;
    let ended = control.run(&ledger, server, grace);
    drop(presence);
    finish(ledger, ended)
}

/// Keys that were made at the first start, shown this once.
pub struct Made {
    /// The admin's, unless one is set.
    pub admin: Option<String>,
    /// For programs: gateway and ingest.
    pub first: String,
}

/// Trusts the admin key that is set; a new ledger gets its first keys.
fn prepare_keys(ledger: &Ledger, admin_key: Option<&str>) -> Result<Option<Made>, Failure> {
    if let Some(text) = admin_key {
        ledger.trust_local("admin", text)?;
    }
    if ledger.keys().list().next().is_some() {
        return Ok(None);
    }
    let make = |name: &str, roles: &[Role]| -> Result<String, Failure> {
        let new = NewKey {
            name: name.to_owned(),
            roles: roles.to_vec(),
            binding: Attribution::default(),
            expires_at: None,
        };
        Ok(ledger.create_key(&By::local(), new)?.1)
    };
    let admin = match admin_key {
        Some(_) => None,
        None => Some(make("admin", &[Role::Admin])?),
    };
    Ok(Some(Made { admin, first: make("first", &[Role::Gateway, Role::Ingest])? }))
}

/// A one-time link for whoever starts the server, unless its member was removed.
fn sign_in_link(ledger: &Ledger) -> Result<Option<(String, Timestamp)>, Failure> {
    let Some(member) = ledger.local_member()? else { return Ok(None) };
    Ok(ledger.link_member(&By::local(), &member.id)?)
}

fn admin_key() -> Result<Option<String>, Failure> {
    let Some(value) = env::get(env::ADMIN_KEY) else { return Ok(None) };
    let text = value.into_string().ok().filter(|text| text.len() >= ADMIN_KEY_BYTES_MIN);
    match text {
        Some(text) if text.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(text)),
        _ => Err(Failure::config(vec![format!(
            "{} must have {ADMIN_KEY_BYTES_MIN} or more printable ASCII characters, without blanks",
            env::ADMIN_KEY
        )])),
    }
}

/// The log goes to stderr. A filter that makes no sense counts as none.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let told = env::get(env::LOG).and_then(|value| value.into_string().ok());
    let filter = told.and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter
        .unwrap_or_else(|| EnvFilter::new("warn,tollbook=info,tollbook_gateway=info,tollbook_api=info"));
    let colours = env::get(env::NO_COLOR).is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Fails only when a log has been started already, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
}

/// Everything recorded goes into the store; then the process may end.
fn finish(ledger: Arc<Ledger>, ended: Health) -> Result<Exit, Failure> {
    if let Health::Fatal(reason) = ended {
        return Err(Failure::new(format!("the journal failed: {reason}"))
            .hint("look at the disk, then start again: what was acknowledged is kept"));
    }
    match Arc::try_unwrap(ledger) {
        Ok(ledger) => ledger.close()?,
        // Somebody still holds it: its last owner ends it, and the journal has everything anyway.
        Err(_) => tracing::warn!("the ledger is still in use at the end; what is pending is in the journal"),
    }
    Ok(Exit::Ok)
}
