//! What commands print: data to standard output, talk to standard error.
//!
//! INVARIANT: whatever the data says, a terminal gets text and line ends, nothing that it acts on.

use std::io::{self, Write as _};

use mcpg_cp_api::Page;
use serde::Serialize;

use crate::text::{escaped, plain};
use crate::yaml;

pub use table::Rows;

mod table;

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// The API's own shapes.
    Json,
    /// The same as YAML.
    Yaml,
}

/// A thing that can be printed.
pub trait Show: Serialize {
    /// The columns of its table.
    const COLUMNS: &'static [&'static str];

    /// Its row.
    fn cells(&self) -> Vec<String>;

    /// What other commands know it by.
    fn name(&self) -> String;

    /// What is printed below it when it is shown alone.
    fn content(&self) -> Option<String> {
        None
    }
}

/// Where commands print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How data is printed.
    pub format: Format,
    /// Whether only names are.
    pub names_only: bool,
}

impl Output {
    /// Prints a list: in JSON as the API's page, all of it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn list<T: Show>(&self, items: &[T]) -> io::Result<()> {
        if self.names_only {
            return items.iter().try_for_each(|item| self.line(&item.name()));
        }
        match self.format {
            Format::Table => {
                let mut rows = Rows::new(T::COLUMNS);
                items.iter().for_each(|item| rows.push(&item.cells()));
                self.write(&rows.text())
            }
            _ => self.serialized(&Page { items: items.iter().collect(), next_cursor: None }),
        }
    }

    /// Prints one thing.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn one<T: Show>(&self, item: &T) -> io::Result<()> {
        if self.names_only {
            return self.line(&item.name());
        }
        match self.format {
            Format::Table => {
                let mut text = table::fields(T::COLUMNS, &item.cells());
                if let Some(content) = item.content() {
                    text.push('\n');
                    text.push_str(&content);
                }
                self.write(&text)
            }
            _ => self.serialized(item),
        }
    }

    /// Tells what was done, and prints the thing that it was done to where data was asked for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn done<T: Show>(&self, item: &T, said: &str) -> io::Result<()> {
        self.say(said);
        match (self.names_only, self.format) {
            (true, _) => self.line(&item.name()),
            (false, Format::Table) => Ok(()),
            _ => self.serialized(item),
        }
    }

    /// Prints a secret that is shown once: alone, so that a script can keep it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn secret(&self, whole: &impl Serialize, secret: &str, said: &str) -> io::Result<()> {
        self.say(said);
        match self.format {
            Format::Table => self.line(secret),
            _ => self.serialized(whole),
        }
    }

    /// Prints what has a text for people of its own.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn text_or(&self, whole: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.format {
            Format::Table => self.write(&text()),
            _ => self.serialized(whole),
        }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{}\n", plain(text)))
    }

    /// Prints a text of this program's own.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn script(&self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    /// Prints one JSON object per line, for what has no end.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn json_line(&self, item: &impl Serialize) -> io::Result<()> {
        self.write(&format!("{}\n", escaped(&serde_json::to_string(item).map_err(io::Error::other)?)))
    }

    /// Tells the person something. Where nobody listens it is lost.
    pub fn say(&self, text: &str) {
        say(text);
    }

    fn serialized(&self, item: &impl Serialize) -> io::Result<()> {
        let text = match self.format {
            Format::Yaml => yaml::text(&serde_json::to_value(item).map_err(io::Error::other)?),
            _ => format!("{}\n", escaped(&serde_json::to_string_pretty(item).map_err(io::Error::other)?)),
        };
        self.write(&text)
    }

    /// Writes text whose lines are fit for a terminal.
    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Tells the person something on standard error.
pub fn say(text: &str) {
    let lines = text.lines().map(|line| plain(line)).collect::<Vec<_>>().join("\n");
    let _ = writeln!(io::stderr(), "{lines}");
}
