//! The man pages of the command and of each subcommand: what clap knows of them, and what it cannot
//! know (examples, files, exit codes). Pure.

use clap::{Arg, CommandFactory};
use vedette::cli::Cli;

use crate::roff::{item, literal, prose, section, text, title};

/// Examples by subcommand, each with its words; a test parses them all.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("check", "Is the installed configuration right, and what will it cost?", "vedette check"),
    ("check", "The same of a file that is not installed yet:", "vedette check --config new.toml"),
    ("demo", "Watch a camera for a minute:", "vedette demo --device /dev/video0 --for 1m"),
    ("snap", "What a camera sees now, masks applied:", "vedette snap --camera front -o front.jpg"),
    ("status", "Cameras, clock, upload, and both sums:", "vedette status"),
    ("status", "For health checks, by the exit status alone:", "vedette status --healthy"),
    (
        "trigger",
        "A detector saw a person in the left half:",
        "vedette trigger --label person --box 0,0,0.5,1",
    ),
    (
        "analyze",
        "What would the zones of a camera make of a clip?",
        "vedette analyze --camera front clip.avi",
    ),
    (
        "analyze",
        "Set up a camera: look at tuned/index.html, and take over what it suggests:",
        "vedette analyze --camera front --tune tuned clip.avi",
    ),
];

/// What is said on each page under FILES.
const FILES: &[(&str, &str)] = &[
    ("/etc/vedette/vedette.toml", "The configuration, see `vedette.toml`(5)."),
    (
        "/var/lib/vedette",
        "The spool of pictures, the pinned identity, the last good configuration.",
    ),
    ("/run/vedette", "The sockets of `vedette status`, `vedette snap` and `vedette trigger`."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "It failed; standard error says why, and what helps."),
    ("2", "Wrong usage."),
    ("78", "The configuration is wrong; for `vedette run`, only if there is no last good one."),
];

/// All pages of section 1, each with its file's name.
pub(crate) fn pages(date: &jiff::Timestamp) -> Vec<(String, String)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![page(&command, "", date)];
    let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
    pages.extend(shown.map(|sub| page(sub, sub.get_name(), date)));
    pages
}

/// The page of one command; `sub` is the subcommand's word, empty for `vedette` itself.
fn page(command: &clap::Command, sub: &str, date: &jiff::Timestamp) -> (String, String) {
    let dashed = if sub.is_empty() { "vedette".to_owned() } else { format!("vedette-{sub}") };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut out = title(&dashed, 1, date);
    out += &section("NAME", &format!("{} \\- {}\n", text(&dashed), text(&about)));
    out += &section("SYNOPSIS", &synopsis(command, sub));
    if sub.is_empty() {
        out += &section("DESCRIPTION", INTRODUCTION);
        out += &section("COMMANDS", &commands(command));
    } else {
        let words = command.get_long_about().or(command.get_about());
        let words = words.map(ToString::to_string).unwrap_or_default();
        out += &section("DESCRIPTION", &(prose(words.trim_end_matches('.')) + ".\n"));
    }
    out += &section("OPTIONS", &options(command));
    out += &examples(sub);
    out += &section("EXIT STATUS", &items(EXIT));
    out += &section("FILES", &items(FILES));
    out += &section("SEE ALSO", &see_also(command, sub));
    (format!("{dashed}.1"), out)
}

const INTRODUCTION: &str = "\
Vedette watches through the cameras of a device, decides there which pictures are worth keeping, holds\n\
them safely on disk, and puts each one straight into object storage, or into a directory.\n\
.PP\n\
.B vedette run\n\
is the agent itself, and\n\
.B systemctl start vedette\n\
starts it as a service. The other commands ask it, or help to set it up.\n";

/// `vedette snap [--camera CAMERA] …`: what must be given without brackets, and without the options that
/// every command has.
fn synopsis(command: &clap::Command, sub: &str) -> String {
    if sub.is_empty() {
        return ".B vedette\n.I COMMAND\n[\\fIOPTION\\fR]...\n".to_owned();
    }
    let mut out = format!(".B vedette {}\n", text(sub));
    for arg in shown(command).filter(|a| a.get_id() != "help") {
        let word = match (arg.get_short(), arg.get_long()) {
            (Some(short), _) => format!("-{short}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => String::new(),
        };
        let word = if word.is_empty() { word } else { format!("\\fB{}\\fR", text(&word)) };
        let parts: Vec<String> = [word, value(arg)].into_iter().filter(|p| !p.is_empty()).collect();
        let all = parts.join("\\ ");
        out += &if arg.is_required_set() { format!("{all}\n") } else { format!("[{all}]\n") };
    }
    out
}

/// Each option with its value, its words and its default.
fn options(command: &clap::Command) -> String {
    let mut out = String::new();
    for arg in shown(command) {
        let short = arg.get_short().map(|c| format!("-{c}"));
        let long = arg.get_long().map(|l| format!("--{l}"));
        let words: Vec<String> =
            short.into_iter().chain(long).map(|w| format!("\\fB{}\\fR", text(&w))).collect();
        let head = [words.join(", "), value(arg)];
        let head: Vec<&str> = head.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        out += &format!(".TP\n{}\n", head.join(" "));
        let said = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
        out += &prose(&(said.unwrap_or_default().trim_end_matches('.').to_owned() + "."));
        let default: Vec<&str> =
            arg.get_default_values().iter().filter_map(|v| v.to_str()).collect();
        if !default.is_empty() && !arg.is_hide_default_value_set() && takes_value(arg) {
            out += &format!("\nDefault: \\fB{}\\fR.", text(&default.join(" ")));
        }
        out.push('\n');
    }
    out
}

/// Arguments in their places first, then options as they are declared.
fn shown(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let all = || command.get_arguments().filter(|a| !a.is_hide_set());
    all().filter(|a| a.is_positional()).chain(all().filter(|a| !a.is_positional()))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    match takes_value(arg) {
        true => names.iter().map(|n| format!("\\fI{}\\fR", text(n))).collect::<Vec<_>>().join(" "),
        false => String::new(),
    }
}

fn items(list: &[(&str, &str)]) -> String {
    list.iter().map(|(word, meaning)| item(word, meaning)).collect()
}

fn commands(command: &clap::Command) -> String {
    let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
    let entry = |c: &clap::Command| {
        let about = c.get_about().map(ToString::to_string).unwrap_or_default();
        item(
            &format!("vedette {}", c.get_name()),
            &format!("{about}. See `vedette-{}`(1).", c.get_name()),
        )
    };
    shown.map(entry).collect()
}

fn examples(sub: &str) -> String {
    let ours = EXAMPLES.iter().filter(|(name, _, _)| *name == sub);
    let body: String =
        ours.map(|(_, words, line)| format!(".PP\n{}\n{}", prose(words), literal(line))).collect();
    if body.is_empty() { body } else { section("EXAMPLES", &body) }
}

fn see_also(command: &clap::Command, sub: &str) -> String {
    let mut names: Vec<String> = match sub {
        "" => command
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .map(|c| format!("\\fBvedette\\-{}\\fR(1)", c.get_name()))
            .collect(),
        _ => vec!["\\fBvedette\\fR(1)".to_owned()],
    };
    names.push("\\fBvedette.toml\\fR(5)".to_owned());
    names.join(",\n") + "\n.PP\nMore is in /usr/share/doc/vedette.\n"
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn all() -> Vec<(String, String)> {
        pages(&jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_subcommand_has_a_page_and_stands_on_the_first() {
        let pages = all();
        let command = Cli::command();
        for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            let file = format!("vedette-{}.1", sub.get_name());
            let (_, text) = pages.iter().find(|(name, _)| *name == file).unwrap();
            assert!(
                text.contains("\n.SH SYNOPSIS\n") && text.contains("\n.SH OPTIONS\n"),
                "{text}"
            );
            assert!(pages[0].1.contains(&format!("vedette {}", sub.get_name())));
        }
    }

    #[test]
    fn every_subcommand_says_what_it_does_and_every_option_too() {
        for sub in Cli::command().get_subcommands() {
            assert!(sub.get_about().is_some(), "vedette {} has no words", sub.get_name());
            for arg in sub.get_arguments() {
                let said = arg.get_help().is_some() || arg.is_hide_set();
                assert!(said, "vedette {} --{} has no words", sub.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_vedette_takes() {
        for (sub, _, line) in EXAMPLES {
            let cli = Cli::try_parse_from(line.split(' '));
            assert!(cli.is_ok(), "{line}: {}", cli.unwrap_err());
            assert!(line.starts_with(&format!("vedette {sub}")));
        }
    }

    #[test]
    fn pages_carry_the_date_that_was_told_and_no_other() {
        for (name, text) in all() {
            assert!(text.contains(" 1970\\-01\\-01 ") || text.contains(" 1970-01-01 "), "{name}");
        }
        assert_eq!(all(), all());
    }
}
