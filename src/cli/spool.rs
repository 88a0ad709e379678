//! `vedette spool`: the pictures that wait on this device, for people.
//!
//! Everything goes through the running agent, by its control socket; where none runs the spool is opened by itself, with
//! the same code behind the same words. Long work goes page by page, with what was done so far on the terminal.

mod args;
mod reach;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde::Serialize;

pub(super) use self::args::Options;
use self::args::{Check, Common, Export, Ls, Purge, Retry, Show, What};
use self::reach::Reach;
use super::status::{bytes, count};
use crate::contract::Class;
use crate::spool::browse::{Ask, Done, Entry, Filter, Shown, Told, Verdict};
use crate::spool::load_image;

pub(super) fn run(options: &Options) -> ExitCode {
    let done = match &options.what {
        What::Ls(o) => ls(o),
        What::Show(o) => show(o),
        What::Check(o) => check(o),
        What::Retry(o) => retry(o),
        What::Purge(o) => purge(o),
        What::Export(o) => export(o),
    };
    match done {
        Ok(code) => code,
        Err(error) => super::failed(&error),
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn ls(o: &Ls) -> anyhow::Result<ExitCode> {
    let reach = Reach::new(&o.common)?;
    let (mut shown, filter) = (0, o.which.filter());
    let head = format!(
        "{:>10}  {:<11} {:<8} {:<16} {:>9}  {}\n",
        "number", "state", "class", "camera", "size", "remarks"
    );
    let mut more = None;
    each(&reach, &filter, |entries| {
        for entry in entries {
            if shown == o.limit {
                more = Some(entry.seq);
                return Ok(false);
            }
            if shown == 0 && !o.common.json {
                super::print(&head)?;
            }
            shown += 1;
            super::print(&if o.common.json { json(&entry)? } else { entry_line(&entry) })?;
        }
        Ok(true)
    })?;
    if !o.common.json {
        match more {
            Some(seq) => super::print(&format!("more: --from {seq}\n"))?,
            None if shown == 0 => super::print("no such pictures\n")?,
            None => {}
        }
    }
    reach.close();
    Ok(ExitCode::SUCCESS)
}

/// All pictures that are meant, page by page, until `page` says that it is enough.
fn each(
    reach: &Reach,
    filter: &Filter,
    mut page: impl FnMut(Vec<Entry>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut above = 0;
    loop {
        let Told::List(entries, next) = reach.ask(Ask::List { filter: filter.clone(), above })?
        else {
            anyhow::bail!("the agent's answer is of another version");
        };
        if !page(entries)? {
            return Ok(());
        }
        match next {
            Some(next) => above = next,
            None => return Ok(()),
        }
    }
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

fn class_word(class: Class) -> &'static str {
    match class {
        Class::Interval => "interval",
        Class::Event => "event",
        Class::Best => "best",
        Class::Manifest => "manifest",
    }
}

fn entry_line(e: &Entry) -> String {
    let mut remarks = Vec::new();
    if e.in_flight {
        remarks.push("being sent".to_owned());
    }
    if e.resting {
        remarks.push("rests".to_owned());
    }
    if e.attempts > 0 {
        remarks.push(format!("refused {}", count(u64::from(e.attempts), "time")));
    }
    remarks.extend(e.why.clone());
    let line = format!(
        "{:>10}  {:<11} {:<8} {:<16} {:>9}  {}",
        e.seq,
        e.held.name(),
        class_word(e.class),
        e.camera,
        bytes(e.bytes),
        remarks.join(", ")
    );
    line.trim_end().to_owned() + "\n"
}

fn show(o: &Show) -> anyhow::Result<ExitCode> {
    let reach = Reach::new(&o.common)?;
    let found = shown(&reach, o.seq)?;
    reach.close();
    let Some(shown) = found else {
        anyhow::bail!("there is no picture {} here: it was stored, or never was", o.seq);
    };
    if o.common.json {
        super::print(&json(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = entry_line(&shown.entry);
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<10} {value}").ok();
    line("file", &shown.file);
    line("key", shown.key.as_deref().unwrap_or("not decided before the clock is trusted"));
    if let Some(problem) = &shown.problem {
        line("problem", problem);
    }
    if let Some(facts) = &shown.facts {
        line("boot", &facts.boot.0);
        line("captured", &format!("{:.3} s after that boot", facts.captured.millis() as f64 / 1e3));
        line("sha256", &facts.sha256);
        for (name, value) in &facts.meta {
            line(name, value);
        }
    }
    super::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(reach: &Reach, seq: u64) -> anyhow::Result<Option<Box<Shown>>> {
    match reach.ask(Ask::Show { seq })? {
        Told::Show(shown) => Ok(shown),
        _ => anyhow::bail!("the agent's answer is of another version"),
    }
}

/// What a check found, whole.
#[derive(Debug, Default, Serialize)]
struct Report {
    whole: u64,
    aside: u64,
    busy: u64,
    /// What is wrong, each with its number.
    wrong: Vec<Wrong>,
    repaired: bool,
}

#[derive(Debug, Serialize)]
struct Wrong {
    seq: u64,
    what: Verdict,
}

fn check(o: &Check) -> anyhow::Result<ExitCode> {
    let reach = Reach::new(&o.common)?;
    let (bar, mut above) = (bar(), 0);
    let mut report = Report { repaired: o.repair, ..Report::default() };
    loop {
        let Told::Checked(page) = reach.ask(Ask::Check { repair: o.repair, above })? else {
            anyhow::bail!("the agent's answer is of another version");
        };
        for (seq, what) in page.found {
            match what {
                Verdict::Whole => report.whole += 1,
                Verdict::Aside => report.aside += 1,
                Verdict::Busy => report.busy += 1,
                what => report.wrong.push(Wrong { seq, what }),
            }
        }
        bar.set_message(format!("{} whole, {} wrong", report.whole, report.wrong.len()));
        match page.next {
            Some(next) => above = next,
            None => break,
        }
    }
    bar.finish_and_clear();
    reach.close();
    super::print(&if o.common.json { json(&report)? } else { report_text(&report) })?;
    let unmended = |w: &Wrong| !report.repaired || w.what == Verdict::Unreadable;
    Ok(if report.wrong.iter().any(unmended) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report_text(r: &Report) -> String {
    let mut out = format!("{} read and whole\n", count(r.whole, "picture"));
    if r.aside > 0 {
        writeln!(out, "{} set aside before: `vedette spool ls --state quarantined`", r.aside).ok();
    }
    if r.busy > 0 {
        writeln!(out, "{} being sent or removed, not looked at", r.busy).ok();
    }
    for Wrong { seq, what } in &r.wrong {
        let (is, done) = match what {
            Verdict::Missing => ("its file is not there", "counted lost"),
            Verdict::Corrupt => ("its file is not what it should be", "set aside"),
            Verdict::Unreadable => ("the disk does not give its file", "left as it is"),
            Verdict::Stray => ("a whole picture without a row", "queued"),
            Verdict::Litter => ("a file without a row that is no picture", "removed"),
            Verdict::Whole | Verdict::Aside | Verdict::Busy => continue,
        };
        let done = if r.repaired { format!(": {done}") } else { String::new() };
        writeln!(out, "{seq}: {is}{done}").ok();
    }
    match (r.wrong.len(), r.repaired) {
        (0, _) => out.push_str("Nothing is wrong.\n"),
        (_, false) => out.push_str("`vedette spool check --repair` puts it right.\n"),
        (_, true) => {}
    }
    out
}

fn retry(o: &Retry) -> anyhow::Result<ExitCode> {
    let filter = o.which.filter();
    let done =
        all(&o.common, "queued again", |above| Ask::Retry { filter: filter.clone(), above })?;
    let (pictures, _) = done.sum();
    if o.common.json {
        super::print(&json(&done)?)?;
    } else {
        let left = match done.left {
            0 => String::new(),
            n => format!("; {n} left aside, because their files cannot be read"),
        };
        super::print(&format!("{} queued again{left}\n", count(pictures, "picture")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every page of a question, added up.
fn all(common: &Common, word: &str, ask: impl Fn(u64) -> Ask) -> anyhow::Result<Done> {
    let reach = Reach::new(common)?;
    let (bar, mut done, mut above) = (bar(), Done::default(), 0);
    loop {
        let Told::Done(page) = reach.ask(ask(above))? else {
            anyhow::bail!("the agent's answer is of another version");
        };
        done.merge(page);
        bar.set_message(format!("{} {word}", count(done.sum().0, "picture")));
        match done.next {
            Some(next) => above = next,
            None => break,
        }
    }
    bar.finish_and_clear();
    reach.close();
    Ok(done)
}

/// What was removed, and when.
#[derive(Debug, Serialize)]
struct Receipt {
    removed: bool,
    pictures: u64,
    bytes: u64,
    #[serde(flatten)]
    done: Done,
    filter: Filter,
}

fn purge(o: &Purge) -> anyhow::Result<ExitCode> {
    let filter = o.which.filter();
    anyhow::ensure!(
        o.all || filter != Filter::default(),
        "say which pictures: --camera, --class, --state, --from, --to, or --all"
    );
    let done = if o.yes {
        all(&o.common, "removed", |above| Ask::Purge { filter: filter.clone(), above })?
    } else {
        let (reach, mut done) = (Reach::new(&o.common)?, Done::default());
        each(&reach, &filter, |entries| {
            for entry in entries {
                if entry.in_flight { done.left += 1 } else { done.add(&entry) }
            }
            Ok(true)
        })?;
        reach.close();
        done
    };
    let (pictures, size) = done.sum();
    let receipt = Receipt { removed: o.yes, pictures, bytes: size, done, filter };
    super::print(&if o.common.json { json(&receipt)? } else { receipt_text(&receipt) })?;
    Ok(ExitCode::SUCCESS)
}

fn receipt_text(r: &Receipt) -> String {
    let would = if r.removed { "removed" } else { "would be removed" };
    let mut out = format!("{}, {}, {would}\n", count(r.pictures, "picture"), bytes(r.bytes));
    for part in &r.done.parts {
        let class = class_word(part.class);
        writeln!(
            out,
            "  {:>8}  {:<8} of {}, {}",
            part.pictures,
            class,
            part.camera,
            bytes(part.bytes)
        )
        .ok();
    }
    if let Some((first, last)) = r.done.seqs {
        writeln!(out, "  numbers {first} to {last}").ok();
    }
    if r.done.left > 0 {
        writeln!(out, "  {} left alone: being sent", r.done.left).ok();
    }
    if !r.removed && r.pictures > 0 {
        out.push_str("Say --yes to remove them. They are then counted lost(`purged`).\n");
    }
    out
}

/// What was copied.
#[derive(Debug, Default, Serialize)]
struct Copied {
    pictures: u64,
    bytes: u64,
    /// Pictures that went, or that cannot be read, meanwhile.
    left: Vec<u64>,
}

fn export(o: &Export) -> anyhow::Result<ExitCode> {
    let reach = Reach::new(&o.common)?;
    fs::create_dir_all(&o.directory).with_context(|| o.directory.display().to_string())?;
    let (bar, mut copied) = (bar(), Copied::default());
    each(&reach, &o.which.filter(), |entries| {
        for entry in entries {
            match shown(&reach, entry.seq)? {
                Some(shown) if shown.problem.is_none() => copied.add(&o.directory, &shown)?,
                _ => copied.left.push(entry.seq),
            }
            bar.set_message(format!("{} copied", count(copied.pictures, "picture")));
        }
        Ok(true)
    })?;
    bar.finish_and_clear();
    reach.close();
    let text = if o.common.json {
        json(&copied)?
    } else {
        let left = match copied.left.len() {
            0 => String::new(),
            n => format!("; {n} not, because they went meanwhile or cannot be read"),
        };
        let done = count(copied.pictures, "picture");
        format!("{done}, {}, copied to {}{left}\n", bytes(copied.bytes), o.directory.display())
    };
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

impl Copied {
    fn add(&mut self, directory: &Path, shown: &Shown) -> anyhow::Result<()> {
        let seq = shown.entry.seq;
        let body = match load_image(Path::new(&shown.file), seq) {
            Ok(body) => body,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(error)
                    .context(format!("{}: run it as the spool's owner, or as root", shown.file));
            }
            Err(_) => {
                self.left.push(seq);
                return Ok(());
            }
        };
        let name = shown.key.clone().unwrap_or_else(|| format!("undecided/{seq}"));
        let to = directory.join(&name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let facts = PathBuf::from(format!("{}.json", to.display()));
        fs::write(&to, &body).with_context(|| to.display().to_string())?;
        fs::write(&facts, serde_json::to_vec_pretty(shown)?)
            .with_context(|| facts.display().to_string())?;
        self.pictures += 1;
        self.bytes += body.len() as u64;
        Ok(())
    }
}
