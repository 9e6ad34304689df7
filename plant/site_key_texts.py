"""What each key of a `site.yaml` means, in one line, for the editor: by part and key, as they are written in the file.

A test fails when a key has no line here, or a line no key.
"""

from __future__ import annotations

KEY_TEXTS: dict[str, dict[str, str]] = {
    "Head": {
        "site": "Name of the site: letters, digits, - and _.",
        "title": "What people call the site.",
        "simulated": "true is shown wherever figures of this site appear.",
        "time_zone": "Shown to people beside UTC. Each source names its own zone.",
        "currency": "Currency of the costs, such as EUR.",
        "assumptions": "What the mapping had to assume, one sentence each; printed in the readiness report.",
    },
    "Source": {
        "system": "Which of the plant's systems the rows come from, such as CMMS, historian, MES, LIMS.",
        "path": "File below the data folder; a pattern such as cmms/orders_*.csv may match several, read in order of "
        "name. .gz, .bz2, .xz and .zst are read as they are.",
        "format": "How the export is written.",
        "delimiter": "csv: what stands between two fields: one character, \\t, or whitespace (any run of blanks).",
        "encoding": "csv, jsonl: encoding of the text, such as utf-8 or cp1252.",
        "decimal": "Decimal mark of the numbers.",
        "thousands": "Mark between groups of three digits.",
        "missing": "Cells that mean nothing was entered; spaces around a cell are dropped first.",
        "header": "Names of the columns, for a file without a line of names.",
        "header_line": "csv, excel: the line that holds the names, counted from 1; the lines above are skipped.",
        "sheet": "excel: name of the sheet; default the first.",
        "url": "sql: env:NAME, an environment variable that holds the URL, or sqlite:///FILE below the data folder. "
        "Never a password.",
        "query": "sql: one SELECT; :since is filled with the high-water mark.",
        "since": "sql, parquet, delta: only rows above the largest value read so far are asked for.",
        "time_zone": "IANA zone of times that are written without one, such as Europe/Dublin; UTC is a zone too.",
        "ambiguous": "The hour that the clock shows twice in autumn: put aside, or taken as the first or the second.",
        "clock_offset": "Added to every time of this source, such as -7min for a clock that is 7 minutes fast.",
        "optional": "true: a missing file is a readiness finding, not an error.",
    },
    "Since": {
        "column": "Column that only grows: a time of change, or a number.",
        "overlap": "How far below the mark rows are read again, for those that arrive late: 2h, or a number.",
        "start": "The mark of the first load; without it everything is read.",
    },
    "Item": {
        "source": "Name of the source that the rows come from.",
        "name": "Name of this item, unique in the table; default the source. A site that extends this one uses it.",
        "where": "Only rows with these values: {COLUMN: [values]}, or {COLUMN: {not: [values]}}.",
        "keep": "Only the last or first row of each group.",
        "intervals": "Rows that hold a condition become intervals: one row of the table each.",
        "columns": "Columns of the table: the name of a source column, or how the value is made.",
    },
    "Keep": {
        "last": "Keep the row with the largest number (or, with a format, time) of this column in each group.",
        "first": "Keep the row with the smallest number (or, with a format, time) of this column in each group.",
        "by": "Source columns that make a group.",
    },
    "Intervals": {
        "by": "Source columns; each combination of their values is a sequence of its own.",
        "at": "Time of a row.",
        "while": "What a row has to hold for the interval to go on.",
        "at_least": "Shorter intervals are left out, such as 2min.",
        "gap": "A longer pause between two rows ends the interval, such as 5min.",
    },
    "Condition": {
        "column": "Source column that is looked at.",
        "below": "The value is below this number.",
        "above": "The value is above this number.",
        "at_least": "The value is this number or above.",
        "at_most": "The value is this number or below.",
        "equals": "The value is one of these words.",
    },
    "Form": {
        "column": "Value of this source column. @file, @line and @content say where the row stands; @start and @end "
        "are the ends of an interval.",
        "constant": "The same value in every row.",
        "template": "Text made of source columns, such as {A}/{B}; empty if one of them is empty.",
        "lookup": "Value of a row of another source that has equal values.",
        "expression": "Number worked out of source columns, such as {A} * 2 + {B} / 100; + - * / ( ) and abs min max "
        "sqrt log log10 exp round.",
        "split": "Only one part of the text.",
        "pattern": "Only what this regular expression finds: its first group, or the whole match.",
        "no_match": "What becomes of a text in which the pattern (or the part) is not found.",
        "crosswalk": "Name of the crosswalk that translates the value; a code that it does not list is quarantined.",
        "take": "Column of the crosswalk, where it has several.",
        "default": "Word for codes that the crosswalk does not list.",
        "format": "How a time is written: iso, or such as %d.%m.%Y %H:%M; several are tried in order.",
        "months": "Names of months for %b: a language tag such as sl, or {maj: 5}.",
        "replace": "Exact replacements before a number is read.",
        "scale": "The number is multiplied by this.",
        "add": "This is added to the number, after scale.",
        "unit": "The number is converted from one unit to another.",
        "offset": "The time is shifted.",
        "round": "Decimals kept after conversion, so that two sources of one value agree.",
        "time_zone": "IANA zone of this time where it is not that of the source.",
    },
    "Lookup": {
        "source": "The other source.",
        "on": "{column of this source: column of the other} that have to be equal.",
        "take": "Column of the other source that gives the value.",
        "which": "Which of several matching rows `take` comes from.",
        "found": "The value where there is a matching row.",
        "otherwise": "The value where there is none; goes with found.",
    },
    "Split": {
        "at": "The text is cut wherever this stands.",
        "part": "Which part: 1 is the first, -1 the last.",
    },
    "Offset": {
        "column": "Source column that holds the length of the shift.",
        "expression": "Length of the shift worked out of source columns.",
        "lookup": "Length of the shift from another source.",
        "factor": "The length is multiplied by this.",
        "constant": "This is added to the length.",
        "unit": "Unit of the length.",
    },
    "Unit": {
        "from": "Unit of the source: a unit such as degF, or a column form where it differs by row.",
        "to": "Unit in the plant's language: a unit such as degC, or a column form.",
    },
}

SECTION_TEXTS = {
    "extends": "Folder of the site that this one differs from, relative to this folder, such as ../dublin.",
    "sources": "Exports of the plant's systems, by a name that the tables use.",
    "crosswalks": "Codes of the sources in the plant's language, by the name of the crosswalk.",
    "tables": "What feeds each canonical table.",
}
CROSSWALK_TEXTS = {
    "file": "CSV file in the site folder with a header; columns beside the key are taken by name. review, reviewed_by, "
    "reviewed_on and note say who has looked at a code.",
    "key": "Column of the file that holds the codes; default the first.",
}
EACH_TEXT = "Repeats the item with ${name} filled in: a list of {name: value}, or {file: FILE}, the rows of a CSV file."
RECORDED_TEXT = "When the source recorded this version of the row, if it says."
OPEN_TEXT = "A value that was recorded with the row: a number."
