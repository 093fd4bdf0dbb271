//! Configuration: flags before environment before file, every value with where it comes from.
//!
//! Everything that is wrong is reported at once, with line and column where it stands in a file.

mod alerts;
mod budgets;
mod capture;
mod channels;
pub mod env;
mod file;
pub mod gateway;
mod rate_limits;
mod summaries;
pub mod value;

use crate::cli::GlobalArgs;
use crate::failure::Failure;
pub use channels::ChannelSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tollbook_api::SummaryForm;
pub use tollbook_api::question::NamedZone;
use tollbook_budget::rules::RuleForm;
use tollbook_budget::{BudgetForm, RateLimitForm};
use tollbook_ledger::{DataDir, Durability, Retention, SECRET_CHARS_MIN, Secret};
use tollbook_store::Zone;
use tollbook_types::limits;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "tollbook.toml";
const MIB: u64 = 1024 * 1024;
/// Where the server listens unless told otherwise: nobody else can reach it there.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4680));

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A command-line option.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A file, with the place.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => f.write_str(name),
            Origin::File(place) => f.write_str(place),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Set<T> {
    fn default(value: T) -> Set<T> {
        Set { value, origin: Origin::Default }
    }
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// `[server] data_dir`
    pub data_dir: Set<PathBuf>,
    /// `[server] time_zone`
    pub time_zone: Set<NamedZone>,
    /// `[store] durability`
    pub durability: Set<Durability>,
    /// `[journal] segment_mib`, in bytes.
    pub segment_bytes: Set<u64>,
    /// `[retention] entries_days`
    pub entries_days: Set<Option<u32>>,
    /// `[retention] raw_days`
    pub raw_days: Set<Option<u32>>,
    /// `[[prices]] file`, in order.
    pub prices: Vec<Set<PathBuf>>,
    /// `[server] listen`
    pub listen: Set<SocketAddr>,
    /// `[server] open_metrics`
    pub open_metrics: Set<bool>,
    /// `[server] metrics_compat` names `seeds`.
    pub seeds_metrics: bool,
    /// `[server] tls_cert`
    pub tls_cert: Option<PathBuf>,
    /// `[server] tls_key`
    pub tls_key: Option<PathBuf>,
    /// `[server] public_url`
    pub public_url: Option<value::PublicUrl>,
    /// `[capture]`
    pub capture: capture::Capture,
    /// `[gateway]`
    pub gateway: gateway::Gateway,
    /// `[[budgets]]`, in order.
    pub budgets: Vec<Set<BudgetForm>>,
    /// `TOLLBOOK_ENCRYPTION_KEY`
    pub encryption: Option<Secret>,
    /// The data directory once it is opened with it, which takes a while.
    pub opened: OnceLock<DataDir>,
    /// `[[rate_limits]]`, in order.
    pub rate_limits: Vec<Set<RateLimitForm>>,
    /// `[[alerts]]`, in order.
    pub alerts: Vec<Set<RuleForm>>,
    /// `[[summaries]]`, in order.
    pub summaries: Vec<Set<SummaryForm>>,
    /// `[[channels]]`, in order.
    pub channels: Vec<ChannelSet>,
}

impl Config {
    pub(crate) fn default() -> Config {
        Config {
            file: None,
            data_dir: Set::default(PathBuf::from("tollbook-data")),
            time_zone: Set::default(NamedZone::default()),
            durability: Set::default(Durability::Full),
            segment_bytes: Set::default(limits::SEGMENT_BYTES),
            entries_days: Set::default(None),
            raw_days: Set::default(None),
            prices: Vec::new(),
            listen: Set::default(LISTEN),
            open_metrics: Set::default(false),
            seeds_metrics: false,
            tls_cert: None,
            tls_key: None,
            public_url: None,
            capture: capture::Capture::default(),
            gateway: gateway::Gateway::default(),
            budgets: Vec::new(),
            encryption: None,
            opened: OnceLock::new(),
            rate_limits: Vec::new(),
            channels: Vec::new(),
            alerts: Vec::new(),
            summaries: Vec::new(),
        }
    }

    /// Reads what is in force.
    pub fn load(flags: &GlobalArgs) -> Result<Config, Failure> {
        let mut config = Config::default();
        let mut problems = Vec::new();
        if let Some((path, text)) = find_file(flags)? {
            file::read(&mut config, &path, &text, &mut problems);
            config.file = Some(path);
        }
        config.take_variables(&mut problems);
        if let Some(dir) = &flags.data_dir {
            config.data_dir = Set { value: dir.clone(), origin: Origin::Flag("--data-dir") };
        }
        config.check_budgets(&mut problems);
        config.check_rate_limits(&mut problems);
        config.check_channels(&mut problems);
        config.check_alerts(&mut problems);
        config.check_summaries(&mut problems);
        if config.tls_cert.is_some() != config.tls_key.is_some() {
            problems.push("[server] tls_cert and tls_key belong together: one of them is missing".to_owned());
        }
        match secret(env::ENCRYPTION_KEY) {
            Ok(secret) => config.encryption = secret,
            Err(problem) => problems.push(problem),
        }
        if problems.is_empty() { Ok(config) } else { Err(Failure::config(problems)) }
    }

    /// Whether browsers reach the server by TLS alone.
    pub fn is_public_tls(&self) -> bool {
        self.public_url.as_ref().map_or(self.tls_cert.is_some(), |url| url.is_tls)
    }

    /// The address that people open, of a server that listens at another.
    pub fn public_url(&self, own: &str) -> String {
        self.public_url.as_ref().map_or_else(|| own.to_owned(), value::PublicUrl::to_string)
    }

    /// How long things are kept.
    pub fn retention(&self) -> Retention {
        Retention {
            entries_days: self.entries_days.value,
            raw_days: self.raw_days.value,
            capture_days: Some(self.capture.days),
            zone: self.time_zone.value.zone.clone(),
        }
    }

    /// The zone of days, and what it is called.
    pub fn zone(&self) -> (String, Zone) {
        (self.time_zone.value.name.clone(), self.time_zone.value.zone.clone())
    }

    fn check_budgets(&self, problems: &mut Vec<String>) {
        for Set { value: form, origin } in &self.budgets {
            let faults = form.read("", &self.zone()).err().unwrap_or_default();
            problems
                .extend(faults.iter().map(|fault| format!("{origin}: {} {}", fault.member, fault.detail)));
            self.check_notified(&form.notify, origin, problems);
            if self.budgets.iter().filter(|other| other.value.name == form.name).count() > 1 {
                problems.push(format!("{origin}: another budget is called {:?}, too", form.name));
            }
        }
    }

    fn check_rate_limits(&self, problems: &mut Vec<String>) {
        for Set { value: form, origin } in &self.rate_limits {
            let faults = form.read("").err().unwrap_or_default();
            problems
                .extend(faults.iter().map(|fault| format!("{origin}: {} {}", fault.member, fault.detail)));
            if self.rate_limits.iter().filter(|other| other.value.name == form.name).count() > 1 {
                problems.push(format!("{origin}: another rate limit is called {:?}, too", form.name));
            }
        }
    }

    fn check_alerts(&self, problems: &mut Vec<String>) {
        for Set { value: form, origin } in &self.alerts {
            let faults = form.read().err().unwrap_or_default();
            problems
                .extend(faults.iter().map(|fault| format!("{origin}: {} {}", fault.member, fault.detail)));
            self.check_notified(&form.notify, origin, problems);
            if self.alerts.iter().filter(|other| other.value.kind == form.kind).count() > 1 {
                problems.push(format!("{origin}: another rule is of kind {:?}, too", form.kind));
            }
        }
    }

    fn check_summaries(&self, problems: &mut Vec<String>) {
        for Set { value: form, origin } in &self.summaries {
            let faults = form.read().err().unwrap_or_default();
            problems
                .extend(faults.iter().map(|fault| format!("{origin}: {} {}", fault.member, fault.detail)));
            self.check_notified(&form.notify, origin, problems);
            if self.summaries.iter().filter(|other| other.value.every == form.every).count() > 1 {
                problems.push(format!("{origin}: another summary is of every {:?}, too", form.every));
            }
        }
    }

    /// Whoever is to be told is a channel of the configuration.
    fn check_notified(&self, notify: &[String], origin: &Origin, problems: &mut Vec<String>) {
        let is_known = |name: &String| self.channels.iter().any(|channel| channel.form.name == *name);
        for name in notify.iter().filter(|name| !is_known(name)) {
            problems.push(format!("{origin}: notify names {name:?}, and no [[channels]] is called so"));
        }
    }

    fn check_channels(&self, problems: &mut Vec<String>) {
        for ChannelSet { form, origin, .. } in &self.channels {
            if self.channels.iter().filter(|other| other.form.name == form.name).count() > 1 {
                problems.push(format!("{origin}: another channel is called {:?}, too", form.name));
            }
        }
    }

    fn take_variables(&mut self, problems: &mut Vec<String>) {
        let mut text = |name: &'static str| {
            let value = env::get(name)?;
            let text = value.into_string().ok();
            if text.is_none() {
                problems.push(format!("{name} is no readable text"));
            }
            text.map(|text| (text, Origin::Variable(name)))
        };
        let (zone, durability) = (text(env::TIME_ZONE), text(env::DURABILITY));
        let (entries, raw) = (text(env::RETENTION_ENTRIES_DAYS), text(env::RETENTION_RAW_DAYS));
        let segment = text(env::SEGMENT_MIB);
        let (listen, open_metrics) = (text(env::LISTEN), text(env::OPEN_METRICS));
        if let Some(dir) = env::get(env::DATA_DIR) {
            self.data_dir = Set { value: PathBuf::from(dir), origin: Origin::Variable(env::DATA_DIR) };
        }
        let mut bad = |origin: &Origin, problem: String| problems.push(format!("{origin}: {problem}"));
        if let Some((text, origin)) = zone {
            match NamedZone::find(&text) {
                Ok(value) => self.time_zone = Set { value, origin },
                Err(problem) => bad(&origin, problem),
            }
        }
        if let Some((text, origin)) = durability {
            match value::durability(&text) {
                Ok(value) => self.durability = Set { value, origin },
                Err(problem) => bad(&origin, problem),
            }
        }
        if let Some((text, origin)) = segment {
            match value::whole(&text).and_then(value::segment_mib) {
                Ok(value) => self.segment_bytes = Set { value, origin },
                Err(problem) => bad(&origin, problem),
            }
        }
        if let Some((text, origin)) = listen {
            match value::address(&text) {
                Ok(value) => self.listen = Set { value, origin },
                Err(problem) => bad(&origin, problem),
            }
        }
        if let Some((text, origin)) = open_metrics {
            match value::truth(&text) {
                Ok(value) => self.open_metrics = Set { value, origin },
                Err(problem) => bad(&origin, problem),
            }
        }
        for (told, set) in [(entries, &mut self.entries_days), (raw, &mut self.raw_days)] {
            let Some((text, origin)) = told else { continue };
            match value::whole(&text).and_then(value::retention_days) {
                Ok(days) => *set = Set { value: Some(days), origin },
                Err(problem) => bad(&origin, problem),
            }
        }
    }
}

/// The secret in a variable, if it is set.
pub fn secret(variable: &str) -> Result<Option<Secret>, String> {
    let Some(value) = env::get(variable) else { return Ok(None) };
    if !tollbook_sqlite::CAN_ENCRYPT {
        return Err(format!(
            "{variable} is set, but this tollbook is built without encryption at rest: nothing is read or \
             written; build it with `--features sqlcipher`"
        ));
    }
    let Ok(text) = value.into_string() else { return Err(format!("{variable} is no readable text")) };
    Secret::new(text).map(Some).ok_or_else(|| {
        format!(
            "{variable} has fewer than {SECRET_CHARS_MIN} characters: nothing is read or written; a good one \
             is made by `openssl rand -base64 32`"
        )
    })
}

/// The configuration file that counts, with its text.
fn find_file(flags: &GlobalArgs) -> Result<Option<(PathBuf, String)>, Failure> {
    let named = flags.config.clone().or_else(|| env::get(env::CONFIG).map(PathBuf::from));
    let (path, is_named) = match named {
        Some(path) => (path, true),
        None => (PathBuf::from(DEFAULT_FILE), false),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::config(vec![format!("{}: {}", path.display(), reason(&error))])),
    }
}

/// An I/O error in plain words.
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "reading it is not permitted".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// A path in a file is meant from where the file is.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
