//! Paths into the file and where they stand in its text.
//!
//! The walk (`shape`) and the validation name a value by its path; the place is looked up in the parsed
//! tree, so no table has to carry places of its own. Pure.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step from a table or array to what is inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Where something is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.into()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where the value at `path` stands; for one that is not there, the key of the table it would be in.
pub(crate) fn span_of(root: &Spanned<DeTable<'_>>, path: &Path) -> Option<Range<usize>> {
    let mut here: Option<(Range<usize>, &DeValue<'_>)> = None;
    for step in &path.0 {
        let table = match &here {
            None => Some(root.get_ref()),
            Some((_, value)) => value.as_table(),
        };
        let next = match step {
            Step::Key(key) => table.and_then(|t| t.get_key_value(key.as_str())).map(|(k, v)| {
                let span = if v.get_ref().is_table() { k.span() } else { v.span() };
                (span, v.get_ref())
            }),
            Step::Index(i) => {
                here.as_ref().and_then(|(_, v)| v.get(*i)).map(|v| (v.span(), v.get_ref()))
            }
        };
        match next {
            Some(next) => here = Some(next),
            None => break,
        }
    }
    here.map(|(span, _)| span)
}
