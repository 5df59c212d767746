//! Schedules as systemd reads them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

use deployix_core::spec::Schedule;

/// The elapse times that systemd finds for an expression, as seconds since the epoch.
fn elapses(expression: &str, count: usize) -> Vec<i64> {
    let output = Command::new("systemd-analyze")
        .args(["calendar", "--base-time=2026-01-01 00:00:30 UTC"])
        .arg(format!("--iterations={count}"))
        .arg(expression)
        .envs([("TZ", "UTC"), ("LC_ALL", "C")])
        .output()
        .expect("systemd-analyze is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{expression}: {said}");
    said.lines()
        .filter_map(|line| {
            let (label, time) = line.split_once(": ")?;
            let label = label.trim();
            (label == "Next elapse" || label.starts_with("Iter")).then(|| epoch(time))
        })
        .collect()
}

/// `Thu 2026-01-01 00:01:00 UTC` as seconds since the epoch.
fn epoch(time: &str) -> i64 {
    let output = Command::new("date").args(["-u", "+%s", "-d", time.trim()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn everyday_words_mean_to_systemd_what_they_say() {
    for text in
        ["every minute", "every 5 minutes", "every 30 minutes", "hourly", "every 6 hours", "daily"]
    {
        let schedule: Schedule = text.parse().unwrap();
        let times = elapses(&schedule.on_calendar(), 4);
        assert_eq!(times.len(), 4, "{text}");
        let period = i64::try_from(schedule.period().unwrap().as_seconds()).unwrap();
        for pair in times.windows(2) {
            assert_eq!(pair[1] - pair[0], period, "{text}: {times:?}");
        }
    }
    let daily: Schedule = "daily 03:30".parse().unwrap();
    assert_eq!(elapses(&daily.on_calendar(), 1), [epoch("2026-01-01 03:30:00 UTC")]);
}

#[test]
fn calendar_expressions_pass_as_they_are() {
    for text in ["Mon..Fri *-*-* 03:30", "monthly", "*-*-01 04:00:00", "Sat,Sun 20:00"] {
        let schedule: Schedule = text.parse().unwrap();
        assert!(!elapses(&schedule.on_calendar(), 1).is_empty(), "{text}");
    }
}
