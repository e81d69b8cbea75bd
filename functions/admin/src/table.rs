//! Aligned tables for the console's fixed-width answers.

use crate::answer::Refusal;

/// Rows of words, each column as wide as its longest word.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|word| (*word).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, row: impl IntoIterator<Item = String>) {
        // A line feed would break the table.
        self.rows.push(row.into_iter().map(|word| word.replace('\n', " ")).collect());
    }

    /// Number of rows, the header apart.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Rows as comma-separated values, the header first.
    ///
    /// # Errors
    /// As [`csv`].
    pub(crate) fn csv(&self) -> Result<String, Refusal> {
        csv(&self.rows)
    }
}

/// Rows as comma-separated values (RFC 4180). Senders choose names, and a person opens this in a
/// spreadsheet: a cell that it would take for a formula has an apostrophe before it.
///
/// # Errors
/// When they cannot be written, which memory does not do.
pub(crate) fn csv(rows: &[Vec<String>]) -> Result<String, Refusal> {
    let mut writer =
        ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        let cell = |cell: &String| if is_formula(cell) { format!("'{cell}") } else { cell.clone() };
        writer.write_record(row.iter().map(cell)).map_err(|error| Refusal(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| Refusal(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Refusal(error.to_string()))
}

/// What a cell that [`csv`] wrote stands for.
pub(crate) fn of_cell(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// Whether a spreadsheet would take a cell for a formula, at once or without its apostrophe.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let words = self.rows.iter().filter_map(|row| row.get(at));
                words.map(|word| word.chars().count()).max().unwrap_or_default()
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (word, width) in row.iter().zip(&widths) {
                line += &format!("{word:width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_taken_for_a_formula_and_each_reads_back() {
        for name in ["=HYPERLINK(1)", "+1", "-svc", "@svc", "\t=1", "\r=1", "svc", "'svc", "'=1"] {
            let mut table = Table::new(&["name", "role"]);
            table.row([name.to_owned(), "etl".to_owned()]);
            let text = table.csv().unwrap();
            let mut reader = ::csv::Reader::from_reader(text.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            assert!(!record[0].starts_with(['=', '+', '-', '@', '\t', '\r']), "{text}");
            assert_eq!(of_cell(&record[0]), name);
        }
    }
}
