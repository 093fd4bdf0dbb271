//! Alerts of the real server: what a crowd sets off is told once, also when the server is killed.

use super::running::{Running, Setup, chat};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_testkit::upstream::{Script, Served, Upstream};
use tollbook_testkit::{Call, MailServer};
use tollbook_types::Timestamp;

const CALLERS: usize = 200;
/// How long after its crossing an alert may come.
const ARRIVES: Duration = Duration::from_secs(5);

fn ok() -> Script {
    Script::body("text/plain", "ok")
}

fn channel(running: &Running, body: &Value) {
    let call = Call::post("/api/v1/channels", body).bearer(&running.admin);
    let answer = running.caller().call(&call).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn hook(running: &Running, upstream: &Upstream) {
    let url = format!("{}/hook", upstream.url());
    channel(running, &json!({"name": "ops", "kind": "webhook", "url": url, "allow_private": true}));
}

fn taken(upstream: &Upstream, path: &str) -> Vec<Served> {
    upstream
        .served()
        .into_iter()
        .filter(|served| served.path() == path && served.status == Some(200))
        .collect()
}

fn wait(limit: Duration, until: impl Fn() -> bool) {
    let since = Instant::now();
    while !until() {
        assert!(since.elapsed() < limit, "it did not come in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_hundred_at_once_are_told_once_by_webhook_slack_and_mail() {
    let running = Running::start();
    let (upstream, mail) = (Upstream::start().unwrap(), MailServer::start().unwrap());
    upstream.at_path("/hook", ok());
    upstream.at_path("/slack", ok());
    hook(&running, &upstream);
    let slack = format!("{}/slack", upstream.url());
    channel(&running, &json!({"name": "chat", "kind": "slack", "url": slack, "allow_private": true}));
    let mut letters = json!({"name": "mail", "kind": "email", "to": ["ann@b.example"], "from": "t@b.example",
                             "smtp_host": "127.0.0.1", "smtp_tls": "none", "allow_private": true});
    letters["smtp_port"] = json!(mail.address.port());
    channel(&running, &letters);
    let set = ["budget", "set", "provider=openai", "10 calls/total", "--block", "--strict", "--name", "ten"];
    running.place.json(&[&set[..], &["--warn", "100", "--notify", "ops,chat,mail"]].concat());
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| running.caller().call(&chat(false).bearer(&running.key)).unwrap());
        }
    });
    let have = || (taken(&upstream, "/hook").len(), taken(&upstream, "/slack").len(), mail.letters().len());
    wait(ARRIVES, || have() == (1, 1, 1));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(have(), (1, 1, 1), "once");
    let body: Value = serde_json::from_slice(&taken(&upstream, "/hook")[0].body).unwrap();
    assert_eq!(body["data"]["summary"], "Budget ten: 10 of 10 calls used, 100 % reached");

    let alerts = running.place.json(&["alerts"]);
    assert_eq!(alerts["data"].as_array().unwrap().len(), 1);
    let id = alerts["data"][0]["id"].as_str().unwrap();
    running.place.run(&["alerts", "--ack", id]).ok();
    let shown = running.place.run(&["alerts"]).ok().out;
    assert!(shown.contains("seen to") && shown.contains("delivered"), "{shown}");
    let channels = running.place.run(&["channel", "list"]).ok().out;
    assert!(channels.contains("ops") && !channels.contains("/hook"), "{channels}");
    running.place.run(&["channel", "test", "ops"]).ok();
    running.place.run(&["channel", "test", "none"]).code(1);
    for text in [&shown, &channels] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn an_alert_that_was_going_out_when_the_server_was_killed_goes_out_once() {
    let mut running = Running::start();
    let upstream = Upstream::start().unwrap();
    // Nothing is ever answered: the message is on its way and not delivered.
    upstream.at_path("/hook", Script::never());
    hook(&running, &upstream);
    let set = ["budget", "set", "all", "2 calls/total", "--warn-only", "--warn", "50", "--notify", "ops"];
    running.place.json(&set);
    running.call(chat(false).bearer(&running.key));
    wait(ARRIVES, || upstream.open_connections() > 0);
    running.signal("KILL");
    running.ended();
    upstream.at_path("/hook", ok());
    running.restart();
    wait(Duration::from_secs(30), || taken(&upstream, "/hook").len() == 1);
    std::thread::sleep(Duration::from_secs(1));
    let ids: Vec<String> = upstream
        .served()
        .iter()
        .filter_map(|served| served.header("webhook-id").map(str::to_owned))
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "never a second id: {ids:?}");
    assert_eq!(taken(&upstream, "/hook").len(), 1);
}

#[test]
fn a_channel_that_is_made_after_its_budget_is_told_all_the_same() {
    let running = Running::start();
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/hook", ok());
    let set = ["budget", "set", "all", "1 calls/total", "--warn-only", "--warn", "100", "--notify", "ops"];
    let made = running.place.run(&set).ok();
    assert!(made.err.contains("there is no channel \"ops\" yet"), "{}", made.err);
    let missing = || running.place.json(&["budget", "list"])["data"][0]["missing_channels"].clone();
    assert_eq!(missing(), json!(["ops"]));
    running.call(chat(false).bearer(&running.key));
    let error = || running.place.json(&["alerts"])["data"][0]["deliveries"][0]["error"].clone();
    wait(ARRIVES, || error() == json!("there is no such channel"));
    hook(&running, &upstream);
    wait(Duration::from_secs(30), || taken(&upstream, "/hook").len() == 1);
    assert_eq!(missing(), Value::Null);
}

#[test]
fn channels_of_the_configuration_have_their_secrets_from_elsewhere() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/hook", ok());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut setup = Setup::gateway(&format!(
        "budget_status = 402\n[[channels]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}/hook\"\n\
         secret = {{ env = \"HOOK_SECRET\" }}\nallow_private = true\n[[budgets]]\nname = \"b\"\nlimit_calls = 1\n\
         window = \"total\"\nat_limit = \"warn\"\nwarn_at = [100]\nnotify = [\"ops\"]\n",
        upstream.url()
    ));
    setup.environment.push(("HOOK_SECRET".to_owned(), secret.to_owned()));
    let running = Running::with(setup);
    running.call(chat(false).bearer(&running.key));
    wait(ARRIVES, || taken(&upstream, "/hook").len() == 1);
    let channels = running.place.json(&["channel", "list"]);
    assert_eq!(channels["data"][0]["source"], "config");
    let gone = Call { method: "DELETE".to_owned(), ..Call::get("/api/v1/channels/ops") };
    assert_eq!(running.caller().call(&gone.bearer(&running.admin)).unwrap().status, 409);
    assert!(!running.log().contains(secret), "{}", running.log());
}

#[test]
fn rules_tell_of_a_provider_that_fails_and_of_a_model_without_a_price_over_a_kill_too() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/hook", ok());
    let mut setup = Setup::gateway(&format!(
        "budget_status = 402\n[[channels]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}/hook\"\n\
         secret = {{ env = \"HOOK_SECRET\" }}\nallow_private = true\n[[alerts]]\nkind = \"failure_rate\"\n\
         percent = 50\ncalls = 4\nnotify = [\"ops\"]\n[[alerts]]\nkind = \"unpriced_model\"\n\
         notify = [\"ops\"]\n",
        upstream.url()
    ));
    setup.environment.push(("HOOK_SECRET".to_owned(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()));
    let mut running = Running::with(setup);
    let told = || -> Vec<String> {
        let summary = |served: Served| {
            let body: Value = serde_json::from_slice(&served.body).unwrap();
            format!("{} {}", body["type"].as_str().unwrap(), body["data"]["summary"].as_str().unwrap())
        };
        taken(&upstream, "/hook").into_iter().map(summary).collect()
    };
    let fail = |running: &Running, many: usize| {
        for _ in 0..many {
            running.upstream.queue(Script::body("application/json", "{}").status(500));
        }
        for _ in 0..many {
            running.caller().call(&chat(false).bearer(&running.key)).unwrap();
        }
    };
    fail(&running, 4);
    wait(ARRIVES, || told() == ["alert.firing 4 of 4 calls to openai failed within 15 minutes (100.0 %)"]);
    let unpriced = json!({"id": "u1", "provider": "openai", "model": "of-tomorrow",
                          "usage": {"input_tokens": 1000, "output_tokens": 0}});
    let tell = |running: &Running, id: &str| {
        let mut event = unpriced.clone();
        event["id"] = json!(id);
        running.call(Call::post("/api/v1/events", &event).bearer(&running.key));
    };
    tell(&running, "u1");
    wait(ARRIVES, || told().len() == 2);
    let words = "alert.firing openai/of-tomorrow has no price: what it costs is in no sum and no budget";
    assert_eq!(told()[1], words);
    running.signal("KILL");
    running.ended();
    running.restart();
    fail(&running, 4);
    tell(&running, "u2");
    let alerts = running.place.json(&["alerts"]);
    let rules: Vec<&Value> = alerts["data"].as_array().unwrap().iter().map(|alert| &alert["rule"]).collect();
    assert_eq!(rules, ["unpriced_model", "failure_rate"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(told().len(), 2, "once: {:?}", told());
}

#[test]
fn yesterday_is_summed_up_once_over_kills() {
    let upstream = Upstream::start().unwrap();
    upstream.at_path("/slack", ok());
    let mut running = Running::with(Setup::gateway(&format!(
        "budget_status = 402\n[[channels]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"{}/slack\"\n\
         allow_private = true\n[[summaries]]\nevery = \"day\"\nhour = 0\nby = [\"agent\"]\n\
         notify = [\"chat\"]\n",
        upstream.url()
    )));
    running.call(chat(false).bearer(&running.key));
    wait(ARRIVES, || !running.books().is_empty());
    let now = running.books().into_values().next().unwrap()["occurred_at"].clone();
    let now: Timestamp = now.as_str().unwrap().parse().unwrap();
    let event = json!({"id": "y", "occurred_at": now - Duration::from_secs(24 * 3_600), "provider": "openai",
                       "model": "gpt-5-mini", "agent": "support",
                       "usage": {"input_tokens": 1_000_000, "output_tokens": 0}});
    let answer = running.call(Call::post("/api/v1/events", &event).bearer(&running.key));
    assert_eq!(answer.status, 200, "{}", answer.text());
    for _ in 0..2 {
        running.signal("KILL");
        running.ended();
        running.restart();
        wait(Duration::from_secs(30), || taken(&upstream, "/slack").len() == 1);
        std::thread::sleep(Duration::from_secs(1));
    }
    let slack = taken(&upstream, "/slack");
    assert_eq!(slack.len(), 1, "once");
    let body: Value = serde_json::from_slice(&slack[0].body).unwrap();
    let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.contains("Tokens: 1,000,000") && text.contains("1. support: 0.25 USD"), "{text}");
    let shown = running.place.run(&["alerts"]).ok().out;
    assert!(shown.contains("0.25 USD, 1 calls") && shown.contains("delivered"), "{shown}");
}
