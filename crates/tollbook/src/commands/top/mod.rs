//! `tollbook top`: what is spent, on what, by whom, as it happens, in a terminal.
//!
//! What is shown and what a key does is in `state`, which knows no terminal and no clock; `draw`
//! makes pictures of it, `feed` and `streams` bring it news. This module owns the terminal and gives it back
//! however the program ends.

mod draw;
mod feed;
mod picture;
mod state;
mod streams;

use crate::config::{Config, env};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::source::Source;
use feed::News;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use state::{Act, Key, State};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long a key is waited for before news is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the terminal's reader has to notice that the process is to end.
const END_TIME: Duration = Duration::from_secs(1);
/// How long each question to the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    if out.json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("top draws on a terminal, and there is none here").hint(
            "`tollbook usage` and `tollbook calls` print the same; `tollbook calls --follow` goes on",
        ));
    }
    let source = Source::open(config, PATIENCE)?;
    let is_live = matches!(source, Source::Server(_));
    let mut state = State::new(config.time_zone.value.clone(), is_live);
    state.has_colours = env::get(env::NO_COLOR).is_none();
    let (sender, news) = mpsc::channel();
    if let Source::Server(client) = &source {
        streams::watch(client.clone(), sender.clone());
    }
    let wants = feed::start(source, config.time_zone.value.clone(), state.wants(), sender);
    let ended = end_signals()?;
    let failed = |error: std::io::Error| Failure::new(format!("the terminal cannot be used: {error}"));
    // It also makes a panic give the terminal back before it is told.
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let done = show(&mut terminal, &mut state, &news, &wants, &ended);
    ratatui::restore();
    done.map_err(failed).map(|()| Exit::Ok)
}

/// Until somebody has seen enough.
fn show(
    terminal: &mut DefaultTerminal,
    state: &mut State,
    news: &Receiver<News>,
    wants: &feed::Wanted,
    ended: &AtomicBool,
) -> std::io::Result<()> {
    let mut is_stale = true;
    while !ended.load(Ordering::Acquire) {
        while let Ok(news) = news.try_recv() {
            state.hear(news);
            is_stale = true;
        }
        if is_stale {
            terminal.draw(|frame| draw::all(frame, state))?;
            is_stale = false;
        }
        if !event::poll(LOOK_EVERY)? {
            continue;
        }
        is_stale = true;
        let Event::Key(pressed) = event::read()? else { continue };
        let Some(key) = (pressed.kind == KeyEventKind::Press).then(|| Key::of(&pressed)).flatten() else {
            continue;
        };
        match state.press(key) {
            Act::None => {}
            Act::Ask => wants.set(state.wants()),
            Act::End => break,
        }
    }
    Ok(())
}

/// Becomes true once the process is told to end, by a signal or since its terminal has gone.
fn end_signals() -> Result<Arc<AtomicBool>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::new(format!("signals cannot be caught: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut terminate, mut hang_up, mut interrupt) = {
        let _within = runtime.enter();
        let catch = |kind| signal(kind).map_err(failed);
        (catch(SignalKind::terminate())?, catch(SignalKind::hangup())?, catch(SignalKind::interrupt())?)
    };
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        told.store(true, Ordering::Release);
        // Whoever reads keys from a terminal that has gone never comes back from it: then it ends here.
        std::thread::sleep(END_TIME);
        ratatui::restore();
        std::process::exit(0);
    });
    Ok(ended)
}
