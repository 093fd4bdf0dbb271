//! The shapes of alerts and channels.

use super::{SummaryView, schema};
use serde::{Deserialize, Serialize};
use tollbook_ledger::alerts::{Alert, Delivery, Progress};
use tollbook_notify::{Channel, Secret};
use tollbook_types::Timestamp;
use utoipa::ToSchema;

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Alert)]
pub struct AlertView {
    /// `alr_…`: the same for the same rule, threshold, period and limit, whatever happens in between.
    pub id: String,
    /// `budget:ID`, a rule's kind, or `summary`.
    pub rule: String,
    /// What was passed: percents of a budget's limit; of a summary how often it comes.
    pub threshold: String,
    /// `info`, `warning` or `critical`.
    #[schema(pattern = "^(info|warning|critical)$")]
    pub severity: String,
    #[schema(pattern = "^(firing|resolved)$")]
    pub state: String,
    /// What it is about, for people.
    pub subject: String,
    /// What was found, in one sentence.
    pub summary: String,
    /// What was measured when it began: decimal text.
    pub value: String,
    /// What it is measured against.
    pub limit: String,
    /// The unit of both.
    pub unit: String,
    /// When it began.
    #[schema(value_type = schema::Instant)]
    pub at: Timestamp,
    /// When its period ends; it is over then.
    #[schema(value_type = Option<schema::Instant>)]
    pub until: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<schema::Instant>)]
    pub resolved_at: Option<Timestamp>,
    /// What was measured then, where that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_value: Option<String>,
    /// What it was measured against then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_limit: Option<String>,
    /// When somebody saw to it.
    #[schema(value_type = Option<schema::Instant>)]
    pub acknowledged_at: Option<Timestamp>,
    /// Whom it has reached.
    pub deliveries: Vec<DeliveryView>,
    /// What was used, of a summary: it is `resolved` from the start, and told all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<SummaryView>,
}

/// A message of an alert for a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// The channel's name.
    pub channel: String,
    /// What it tells: `firing` or `resolved`.
    #[schema(pattern = "^(firing|resolved)$")]
    pub tells: String,
    #[schema(pattern = "^(pending|delivered|failed)$")]
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or was settled.
    #[schema(value_type = schema::Instant)]
    pub at: Timestamp,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

impl AlertView {
    /// An alert.
    pub fn of(alert: &Alert) -> AlertView {
        AlertView {
            id: alert.id.clone(),
            rule: alert.key.rule.clone(),
            threshold: alert.key.threshold.clone(),
            severity: alert.severity.name().to_owned(),
            state: alert.state.name().to_owned(),
            subject: alert.subject.clone(),
            summary: alert.summary.clone(),
            value: alert.value.clone(),
            limit: alert.limit.clone(),
            unit: alert.unit.clone(),
            at: alert.at,
            until: alert.until,
            resolved_at: alert.resolved_at,
            resolved_value: alert.ending.as_ref().map(|ending| ending.value.clone()),
            resolved_limit: alert.ending.as_ref().map(|ending| ending.limit.clone()),
            acknowledged_at: alert.acknowledged.as_ref().map(|seen| seen.at),
            deliveries: alert.deliveries.iter().map(DeliveryView::of).collect(),
            report: alert.report.as_ref().map(SummaryView::of),
        }
    }
}

impl DeliveryView {
    fn of(delivery: &Delivery) -> DeliveryView {
        let state = match delivery.progress {
            Progress::Pending => "pending",
            Progress::Delivered => "delivered",
            Progress::Failed => "failed",
        };
        DeliveryView {
            channel: delivery.channel.clone(),
            tells: delivery.tells.name().to_owned(),
            state: state.to_owned(),
            attempts: delivery.attempts,
            at: delivery.at,
            error: delivery.error.clone(),
        }
    }
}

/// A channel as it is told: without its secrets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelView {
    /// What it is called.
    pub name: String,
    #[schema(pattern = "^(webhook|slack|email|log)$")]
    pub kind: String,
    /// Where its messages go: a host, or the receivers of e-mail.
    pub target: Option<String>,
    /// Whether it may be on this machine or in a network of one's own.
    pub allow_private: bool,
    /// `api` or `config`.
    #[schema(pattern = "^(api|config)$")]
    pub source: String,
    /// What messages are signed with, in the one answer that has it: where it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl ChannelView {
    /// A channel.
    pub fn of(channel: &Channel, is_configured: bool) -> ChannelView {
        ChannelView {
            name: channel.name.clone(),
            kind: channel.kind().to_owned(),
            target: channel.target(),
            allow_private: channel.allow_private,
            source: if is_configured { "config" } else { "api" }.to_owned(),
            secret: None,
        }
    }

    /// A channel that has just been made, with the secret that was made for it.
    #[must_use]
    pub fn shown_once(self, secret: Option<Secret>) -> ChannelView {
        ChannelView { secret: secret.map(|secret| secret.expose().to_owned()), ..self }
    }
}

/// A channel that is asked for.
#[derive(ToSchema)]
#[schema(as = NewChannel)]
#[expect(dead_code, reason = "a shape for the document; the channel's own form reads it")]
pub struct NewChannelView {
    /// What it is called: letters, digits, `-`, `_`, `.`.
    name: String,
    #[schema(pattern = "^(webhook|slack|email|log)$")]
    kind: String,
    /// Where a webhook or Slack takes messages.
    url: Option<String>,
    /// What a webhook's messages are signed with; one is made unless said.
    secret: Option<String>,
    /// Whom e-mail goes to.
    to: Option<Vec<String>>,
    /// Whom it comes from.
    from: Option<String>,
    smtp_host: Option<String>,
    smtp_port: Option<u16>,
    #[schema(pattern = "^(implicit|starttls|none)$")]
    smtp_tls: Option<String>,
    smtp_user: Option<String>,
    smtp_password: Option<String>,
    /// Whether it may be on this machine or in a network of one's own, and without TLS.
    allow_private: Option<bool>,
}

/// What became of a test message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ChannelTest)]
pub struct ChannelTestView {
    /// Whether the channel took it.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}
