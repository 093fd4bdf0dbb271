//! One socket: what it is sent, and when it ends.

use super::flights::Running;
use super::hub::{Gap, Item, Listener, Told};
use super::message::Message;
use crate::access::{Caller, Session};
use crate::problem::Problem;
use crate::question::{self, NamedZone};
use crate::shared::Shared;
use crate::wire::{AlertView, MeasuresView};
use axum::extract::ws::{self, CloseFrame, WebSocket};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tollbook_store::{CallsCursor, CallsOrder, CallsQuery, Interval, UsageQuery, UsageReport, View};
use tollbook_types::{Seq, TimeRange};

/// How often streams on their way are looked at, and whether the key still is one.
const TICK: Duration = Duration::from_millis(500);
/// How often sums are made at most. One that takes long is made so much more seldom: it has at most
/// one part in so many of the time.
const TOTALS_EVERY: Duration = Duration::from_secs(1);
const TOTALS_SHARE: u32 = 20;
/// How often a client is asked whether it is there, and how long it may be silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a client may take for one message.
const SEND_MAX: Duration = Duration::from_secs(30);
/// Calls that are sent again to who comes back, and how many are read at once.
const REPLAY_MAX: usize = 5_000;
const REPLAY_PAGE: usize = 200;
/// Streams that one message tells of.
const RUNNING_MAX: usize = 100;

/// Codes of closing (RFC 6455).
const POLICY: u16 = 1008;
const AGAIN_LATER: u16 = 1013;

/// Sums that are being made.
type Asked = Pin<Box<dyn Future<Output = Result<UsageReport, Problem>> + Send>>;

/// Why a socket ends.
enum End {
    /// The client has gone, or takes nothing.
    Gone,
    /// It is told why.
    Because(u16, &'static str),
}

/// A socket's state.
pub struct Watch {
    shared: Arc<Shared>,
    caller: Caller,
    /// What the caller came with, where that was no key.
    session: Option<Session>,
    zone: NamedZone,
    listener: Arc<Listener>,
    /// Where to go on after what the client has seen before.
    after: Option<Seq>,
    /// Entries up to here have been sent from the store.
    replayed: Seq,
    /// The sums that were sent last.
    totals: String,
    /// What they are sums over, while they are being made.
    range: TimeRange,
    /// Streams were told of last time.
    had_running: bool,
}

impl Watch {
    /// A socket that is to be run.
    pub fn new(
        shared: Arc<Shared>,
        (caller, session): (Caller, Option<Session>),
        zone: NamedZone,
        listener: Arc<Listener>,
        after: Option<Seq>,
    ) -> Watch {
        Watch {
            shared,
            caller,
            session,
            zone,
            listener,
            after,
            replayed: 0,
            totals: String::new(),
            range: TimeRange::ALL,
            had_running: false,
        }
    }

    /// Runs it until its end.
    pub async fn run(mut self, mut socket: WebSocket) {
        let Err(end) = self.watch(&mut socket).await;
        if let End::Because(code, reason) = end {
            let frame = CloseFrame { code, reason: reason.into() };
            // It may have gone meanwhile.
            let _ = tokio::time::timeout(SEND_MAX, socket.send(ws::Message::Close(Some(frame)))).await;
        }
    }

    async fn watch(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, End> {
        if let Some(after) = self.after {
            self.replay(socket, after).await?;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let (mut heard, mut pinged) = (now, now);
        let (mut asked, mut asked_at, mut totals_at): (Option<Asked>, _, _) = (None, now, now);
        loop {
            tokio::select! {
                incoming = socket.recv() => match incoming {
                    // What it says is nothing to us; that it says something is.
                    Some(Ok(message)) if !matches!(message, ws::Message::Close(_)) => heard = Instant::now(),
                    _ => return Err(End::Gone),
                },
                () = self.listener.heard() => self.drain(socket).await?,
                report = answer(&mut asked), if asked.is_some() => {
                    asked = None;
                    let took = asked_at.elapsed();
                    totals_at = Instant::now() + TOTALS_EVERY.saturating_sub(took).max(took * TOTALS_SHARE);
                    self.tell_totals(socket, report).await?;
                }
                _ = ticks.tick() => {
                    self.check_key()?;
                    self.tell_running(socket).await?;
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(End::Gone);
                    }
                    if pinged.elapsed() >= PING_EVERY {
                        pinged = Instant::now();
                        send(socket, ws::Message::Ping(Default::default())).await?;
                    }
                    if asked.is_none() && Instant::now() >= totals_at {
                        asked = self.ask_totals()?;
                        asked_at = Instant::now();
                    }
                }
            }
        }
    }

    /// The key may have been revoked or replaced since, or have expired; the session may have ended.
    fn check_key(&self) -> Result<(), End> {
        let ledger = &self.shared.ledger;
        let is_good = match &self.session {
            Some(session) => ledger.session(&session.text).is_some(),
            None => ledger.keys().is_good(&self.caller.0, self.shared.clock.now()),
        };
        if is_good { Ok(()) } else { Err(End::Because(POLICY, "the key or session is of no use any more")) }
    }

    /// Sends what was recorded after a position and is in the store; then what waits goes on from there.
    async fn replay(&mut self, socket: &mut WebSocket, after: Seq) -> Result<(), End> {
        self.replayed = after;
        let (mut sent, mut through) = (0, self.shared.ledger.status().applied);
        loop {
            let query = CallsQuery {
                range: TimeRange::ALL,
                filters: self.listener.filters().to_vec(),
                order: CallsOrder::Recorded,
                after: Some(CallsCursor { key: 0, seq: self.replayed }),
                limit: REPLAY_PAGE,
            };
            let page = self.shared.read(move |store| store.calls(&query)).await.map_err(refused)?;
            for call in page.calls {
                let told = Told { seq: call.seq, call: Arc::new(call), is_correction: false };
                self.replayed = told.seq;
                tell(socket, Message::from(&told)).await?;
                sent += 1;
            }
            if page.next.is_none() {
                self.replayed = self.replayed.max(through);
                return Ok(());
            }
            if sent >= REPLAY_MAX {
                through = self.shared.ledger.status().applied.max(through);
                let gap = Gap { after: self.replayed, through, calls: None };
                self.replayed = through;
                return tell(socket, gap.into()).await;
            }
        }
    }

    /// Sends what waits.
    async fn drain(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        while let Some(item) = self.listener.next() {
            match item {
                Item::Call(told) if told.seq <= self.replayed && !told.is_correction => {}
                Item::Call(told) => tell(socket, Message::from(told.as_ref())).await?,
                Item::Gap(gap) => tell(socket, gap.into()).await?,
                Item::Alert(alert) => {
                    tell(socket, Message::Alert { alert: Box::new(AlertView::of(&alert)) }).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what streams have brought so far; once more with none when the last has ended.
    async fn tell_running(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let Some(flights) = &self.shared.flights else { return Ok(()) };
        let (mut calls, mut more) = (Vec::<Running>::new(), 0);
        flights.each(&mut |running| {
            let passes = running.passes(self.listener.filters());
            let is_shown = passes && calls.len() < RUNNING_MAX;
            if is_shown {
                calls.push(running.clone());
            } else {
                more += u64::from(passes);
            }
            is_shown
        });
        if calls.is_empty() && !self.had_running {
            return Ok(());
        }
        self.had_running = !calls.is_empty();
        tell(socket, Message::Progress { calls: &calls, more }).await
    }

    /// Has today's sums made, if they may be others than those that were sent.
    fn ask_totals(&mut self) -> Result<Option<Asked>, End> {
        let today = question::last_days(1, &self.zone.zone, self.shared.clock.now());
        let today = today.map_err(|_| End::Because(POLICY, "there is no today in this zone"))?;
        if !self.listener.has_changed() && self.range == today {
            return Ok(None);
        }
        self.range = today;
        let query = UsageQuery {
            range: today,
            interval: Interval::None,
            zone: self.zone.zone.clone(),
            group_by: Vec::new(),
            filters: self.listener.filters().to_vec(),
            view: View::Corrected,
        };
        let shared = self.shared.clone();
        Ok(Some(Box::pin(async move { shared.read(move |store| store.usage(&query)).await })))
    }

    /// Sends sums if they are others than those before.
    async fn tell_totals(
        &mut self,
        socket: &mut WebSocket,
        report: Result<UsageReport, Problem>,
    ) -> Result<(), End> {
        let report = report.map_err(refused)?;
        let seq = self.shared.hub.position();
        self.drain(socket).await?;
        let total = serde_json::to_string(&MeasuresView(&report.total)).map_err(|_| End::Gone)?;
        if total == self.totals {
            return Ok(());
        }
        self.totals = total;
        let TimeRange { from, to } = self.range;
        let total = MeasuresView(&report.total);
        tell(socket, Message::Totals { seq, from, to, tz: &self.zone.name, total }).await
    }
}

/// The sums, once they are there.
async fn answer(asked: &mut Option<Asked>) -> Result<UsageReport, Problem> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

/// What the store refused or could not do.
fn refused(problem: Problem) -> End {
    if problem.code.status().is_server_error() {
        End::Because(AGAIN_LATER, "the store could not be read; try again")
    } else {
        End::Because(POLICY, "too many calls today for these filters; watch with fewer")
    }
}

async fn tell(socket: &mut WebSocket, message: Message<'_>) -> Result<(), End> {
    let text = serde_json::to_string(&message).map_err(|error| {
        tracing::error!("a message could not be written: {error}");
        End::Gone
    })?;
    send(socket, ws::Message::text(text)).await
}

async fn send(socket: &mut WebSocket, message: ws::Message) -> Result<(), End> {
    match tokio::time::timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(End::Gone),
    }
}
