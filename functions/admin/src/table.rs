//! Aligned tables for the console's fixed-width answers.

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

    /// Rows as comma-separated values (RFC 4180), the header first.
    pub(crate) fn csv(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let fields: Vec<String> = row.iter().map(|field| csv_field(field)).collect();
            text += &fields.join(",");
            text += "\r\n";
        }
        text
    }
}

/// A field of comma-separated values, quoted where it has to be.
pub(crate) fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
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
