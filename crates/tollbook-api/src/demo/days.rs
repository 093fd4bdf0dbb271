//! The calls of a team that does not exist: some services, some people at their desks, a few errors,
//! slow growth, quiet weekends, and one night in which an agent ran in circles.
//!
//! Everything follows from the day, the zone and a fixed seed. Nobody is at work in the hour of the
//! spike, so whoever looks into it finds its calls and no others.

use std::collections::BTreeMap;
use tollbook_store::Zone;
use tollbook_types::{
    Attribution, Content, DEMO_SOURCE, Event, Evidence, FreeReason, Meter, Meters, Status, Timestamp, Usage,
    first_of_days,
};

/// Days, today included.
const DAYS: u32 = 90;
/// The spike was so many days before today, in the hour from this minute of the day on.
const SPIKE_DAYS_AGO: u32 = 12;
const SPIKE_MINUTE: i64 = 3 * 60;
const SPIKE_CALLS: u64 = 37;
const SPIKE_USER: (&str, &str) = ("maria", "research");
const SEED: u64 = 0x746f_6c6c;

/// A kind of work, and what its calls are like.
struct Work {
    operation: &'static str,
    agent: &'static str,
    feature: &'static str,
    provider: &'static str,
    model: &'static str,
    api: &'static str,
    /// Of a hundred calls.
    share: u64,
    /// Least and most tokens in.
    input: (u64, u64),
    /// The part of them that is read from a cache, in per cent.
    cached: u64,
    /// Least and most tokens out.
    output: (u64, u64),
    /// The part of them that is reasoning, in per cent.
    reasoning: u64,
}

const fn work(
    (operation, agent, feature): (&'static str, &'static str, &'static str),
    (provider, model, api): (&'static str, &'static str, &'static str),
    share: u64,
    (input, cached): ((u64, u64), u64),
    (output, reasoning): ((u64, u64), u64),
) -> Work {
    Work { operation, agent, feature, provider, model, api, share, input, cached, output, reasoning }
}

const OPENAI: [&str; 3] = ["gpt-5.5", "gpt-5-mini", "text-embedding-3-small"];
const ANTHROPIC: [&str; 2] = ["claude-sonnet-5", "claude-haiku-5-5"];

/// What the team does. The shares add up to 100.
const WORKS: &[Work] = &[
    work(
        ("support_answer", "support", "chat"),
        ("openai", OPENAI[1], "chat"),
        34,
        ((900, 6_000), 45),
        ((150, 900), 20),
    ),
    work(
        ("coding", "coder", "ide"),
        ("anthropic", ANTHROPIC[0], "messages"),
        22,
        ((8_000, 60_000), 80),
        ((300, 3_000), 0),
    ),
    work(
        ("rag_embed", "indexer", "search"),
        ("openai", OPENAI[2], "embeddings"),
        14,
        ((400, 8_000), 0),
        ((0, 0), 0),
    ),
    work(
        ("classify", "router", "inbox"),
        ("anthropic", ANTHROPIC[1], "messages"),
        12,
        ((300, 1_500), 0),
        ((5, 60), 0),
    ),
    work(
        ("summarise", "support", "inbox"),
        ("google", "gemini-3.5-flash", "generate_content"),
        10,
        ((2_000, 20_000), 10),
        ((200, 900), 15),
    ),
    work(
        ("research", "analyst", "reports"),
        ("openai", OPENAI[0], "responses"),
        8,
        ((4_000, 30_000), 30),
        ((800, 5_000), 60),
    ),
];

/// Who is on the team, in which part of it, and for how many of a hundred calls.
const PEOPLE: &[(&str, &str, u64)] = &[
    ("maria", "research", 24),
    ("jonas", "platform", 20),
    ("aisha", "support", 18),
    ("chen", "support", 16),
    ("lena", "platform", 12),
    ("tom", "sales", 10),
];

const CUSTOMERS: &[&str] = &["acme.example", "globex.example", "initech.example"];

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// More often near the least than near the most, as in life.
    fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        let width = (most - least).saturating_add(1);
        least + self.below(width).min(self.below(width))
    }

    /// One of them, each as often as its share says.
    fn share<'a, T>(&mut self, of: &'a [T], share: impl Fn(&T) -> u64) -> Option<&'a T> {
        let mut left = self.below(of.iter().map(&share).sum());
        of.iter().find(|one| {
            let is_it = left < share(one);
            left = left.saturating_sub(share(one));
            is_it
        })
    }
}

/// The calls of the days up to `now`, oldest first. `run` stands in their ids.
pub fn calls(run: &str, now: Timestamp, zone: &Zone) -> Vec<Event> {
    let mut events = Vec::new();
    for ago in (0..DAYS).rev() {
        let Some(start) = first_of_days(ago + 1, now, zone) else { continue };
        let mut day = Day { start, dice: Dice(SEED ^ u64::from(ago)), events: Vec::new() };
        day.fill(ago, zone);
        if ago == SPIKE_DAYS_AGO {
            day.spike();
        }
        day.events.sort_by_key(|event| event.occurred_at);
        events.extend(day.events);
    }
    events.retain(|event| event.occurred_at < now);
    for (nth, event) in events.iter_mut().enumerate() {
        event.id = format!("demo-{run}-{nth:05}");
        event.content = Content::of(event.id.as_bytes());
    }
    events
}

/// From when to when the spike of a demo of that instant was.
pub fn spike(at: Timestamp, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
    let start = first_of_days(SPIKE_DAYS_AGO + 1, at, zone)?.as_second() + SPIKE_MINUTE * 60;
    Some((Timestamp::from_second(start).ok()?, Timestamp::from_second(start + 3_600).ok()?))
}

struct Day {
    start: Timestamp,
    dice: Dice,
    events: Vec<Event>,
}

impl Day {
    /// A usual day: more calls towards the present, fewer on weekends, none at night.
    fn fill(&mut self, ago: u32, zone: &Zone) {
        let weekday = zone.to_datetime(self.start).weekday();
        let is_weekend = matches!(weekday, jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
        let usual = 110 + u64::from(DAYS - ago) / 2;
        let calls = if is_weekend { usual / 5 } else { usual } + self.dice.below(30);
        for _ in 0..calls {
            let (work, who) =
                (self.dice.share(WORKS, |work| work.share), self.dice.share(PEOPLE, |who| who.2));
            let (Some(work), Some((user, team, _))) = (work, who) else { continue };
            // From seven to nine, most of it around one.
            let second =
                7 * 3_600 + i64::try_from(self.dice.below(25_200) + self.dice.below(25_200)).unwrap_or(0);
            self.call(work, (user, team), second);
        }
    }

    /// One agent asks the dearest model the same, with all that was said before, until somebody sees it.
    fn spike(&mut self) {
        let Some(research) = WORKS.iter().find(|work| work.operation == "research") else { return };
        for nth in 0..SPIKE_CALLS {
            let at = SPIKE_MINUTE * 60 + i64::try_from(120 + nth * 90 + self.dice.below(60)).unwrap_or(0);
            let grown =
                Work { input: (150_000 + nth * 6_000, 152_000 + nth * 6_000), cached: 0, ..*research };
            let grown = Work { output: (6_000, 9_000), ..grown };
            self.call(&grown, SPIKE_USER, at);
            if let Some(event) = self.events.last_mut() {
                event.attribution.session = Some("night-run".to_owned());
            }
        }
    }

    fn call(&mut self, work: &Work, (user, team): (&str, &str), second: i64) {
        let dice = &mut self.dice;
        let micros = i64::try_from(dice.below(1_000_000)).unwrap_or(0);
        let at = self.start.as_microsecond() + second * 1_000_000 + micros;
        let Ok(occurred_at) = Timestamp::from_microsecond(at) else { return };
        let (input, output) = (dice.between(work.input), dice.between(work.output));
        let is_failed = work.cached > 0 && dice.below(100) < 2;
        let first_ms = 180 + dice.below(500) + input / 80;
        let latency_ms =
            if is_failed { 90 + dice.below(400) } else { first_ms + output * (6 + dice.below(8)) };
        let tags = BTreeMap::from(
            [("team", team), ("feature", work.feature)]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let session = format!("{user}-{}-{}", second / 3_600, dice.below(3));
        let customer = (work.agent == "support").then(|| CUSTOMERS[dice.below(3) as usize % 3].to_owned());
        self.events.push(Event {
            provider: work.provider.to_owned(),
            model: work.model.to_owned(),
            api: Some(work.api.to_owned()),
            status: if is_failed { Status::UpstreamError } else { Status::Ok },
            error: is_failed.then(|| "the model is overloaded".to_owned()),
            http_status: Some(if is_failed { 529 } else { 200 }),
            usage: (!is_failed).then(|| Usage::one(meters(work, input, output))),
            evidence: Evidence::ProviderUsage,
            free: is_failed.then_some(FreeReason::HttpError),
            attribution: Attribution {
                project: Some(DEMO_SOURCE.to_owned()),
                customer,
                user: Some(user.to_owned()),
                agent: Some(work.agent.to_owned()),
                operation: Some(work.operation.to_owned()),
                session: Some(session),
                tags,
                ..Attribution::default()
            },
            latency_ms: Some(latency_ms),
            time_to_first_token_ms: (!is_failed && output > 0).then_some(first_ms),
            ..Event::new(String::new(), DEMO_SOURCE.to_owned(), occurred_at)
        });
    }
}

/// Disjoint quantities of so many tokens in all.
fn meters(work: &Work, input: u64, output: u64) -> Meters {
    let (cached, reasoning) = (input * work.cached / 100, output * work.reasoning / 100);
    let told = [
        (Meter::Input, input - cached),
        (Meter::CacheRead, cached),
        (Meter::Output, output - reasoning),
        (Meter::Reasoning, reasoning),
    ];
    Meters::from_pairs(told.into_iter().filter(|(meter, tokens)| *tokens > 0 || *meter == Meter::Input))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn shares_are_of_a_hundred() {
        assert_eq!(WORKS.iter().map(|work| work.share).sum::<u64>(), 100);
        assert_eq!(PEOPLE.iter().map(|who| who.2).sum::<u64>(), 100);
    }

    #[test]
    fn ninety_days_up_to_now_with_one_spike_of_one_person_and_model() {
        for (now, zone) in [
            ("2026-11-23T18:00:00Z", "Europe/Berlin"),
            ("2026-11-23T00:30:00Z", "America/Los_Angeles"),
            ("2026-04-05T12:00:00Z", "UTC"),
        ] {
            let (now, zone) = (at(now), Zone::get(zone).unwrap());
            let events = calls("a", now, &zone);
            assert!((8_000..20_000).contains(&events.len()), "{}", events.len());
            assert!(events.iter().all(|event| event.is_demo() && event.occurred_at < now));
            assert!(events.is_sorted_by_key(|event| event.occurred_at));
            let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
            assert_eq!(ids.len(), events.len());
            let days: BTreeSet<_> =
                events.iter().map(|event| zone.to_datetime(event.occurred_at).date()).collect();
            assert!(days.len() >= 89, "{}", days.len());
            let (from, to) = spike(now, &zone).unwrap();
            let within: Vec<&Event> =
                events.iter().filter(|event| (from..to).contains(&event.occurred_at)).collect();
            let who: BTreeSet<_> =
                within.iter().map(|event| (&event.attribution.user, &event.model)).collect();
            assert_eq!((within.len(), who.len()), (37, 1));
            assert_eq!(events, calls("a", now, &zone), "the same each time");
            assert_ne!(events[0].id, calls("b", now, &zone)[0].id);
        }
    }
}
