//! A database of rpm as bytes, small enough that each of them says something (sqlite.org/fileformat2.html).

const PAGE: usize = 512;

/// rpm's database of the package `app`, whose one file is `/app`.
pub fn rpmdb() -> Vec<u8> {
    let tables = [("table", "Packages", 2), ("table", "Basenames", 3), ("index", "Basenames_key_idx", 4)];
    let schema: Vec<Vec<u8>> = (1..)
        .zip(tables)
        .map(|(number, (kind, name, page))| row(number, &[text(kind), text(name), text("t"), integer(page), text("-")]))
        .collect();
    let mut first = b"SQLite format 3\0\x02\0\x01\x01\0\x40\x20\x20".to_vec();
    first.resize(100, 0);
    first[56..60].copy_from_slice(&1u32.to_be_bytes());
    let null = (0, Vec::new());
    let package = row(1, &[null, (12 + 2 * header().len(), header())]);
    let name = row(1, &[text("app"), integer(1), integer(0)]);
    let key = sized(&record(&[text("app"), integer(1)]), &[]);
    [leaf(first, 13, &schema), leaf(vec![], 13, &[package]), leaf(vec![], 13, &[name]), leaf(vec![], 10, &[key])]
        .concat()
}

/// Numbers of entries and bytes, the entries (tag, type, offset, count), and the data.
fn header() -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), vec![0; 4]);
    let mut add = |tag: u32, kind: u32, at: usize| {
        entries.extend([tag, kind, u32::try_from(at).unwrap(), 1].map(u32::to_be_bytes).concat());
    };
    // The directory of the first file is the first one.
    add(1116, 4, 0);
    for (tag, text) in [(1000, "app"), (1001, "2"), (1002, "3"), (1014, "MIT"), (1044, "a-2-3.src.rpm"), (1118, "/")] {
        add(tag, 6, data.len());
        data.extend([text.as_bytes(), b"\0"].concat());
    }
    let sizes = [entries.len() / 16, data.len()].map(|size| u32::try_from(size).unwrap().to_be_bytes());
    [sizes.concat(), entries, data].concat()
}

/// A value: its type, and its bytes.
type Value = (usize, Vec<u8>);

fn text(text: &str) -> Value {
    (13 + 2 * text.len(), text.into())
}

fn integer(number: u8) -> Value {
    (1, vec![number])
}

fn varint(number: usize) -> Vec<u8> {
    let byte = |number: usize| u8::try_from(number & 127).unwrap();
    if number < 128 { vec![byte(number)] } else { vec![byte(number >> 7) | 128, byte(number)] }
}

fn record(values: &[Value]) -> Vec<u8> {
    let types: Vec<u8> = values.iter().flat_map(|(kind, _)| varint(*kind)).collect();
    let values = values.iter().flat_map(|(_, bytes)| bytes.clone());
    varint(types.len() + 1).into_iter().chain(types).chain(values).collect()
}

fn row(number: u8, values: &[Value]) -> Vec<u8> {
    sized(&record(values), &[number])
}

fn sized(payload: &[u8], number: &[u8]) -> Vec<u8> {
    [&varint(payload.len()), number, payload].concat()
}

/// A page with these cells, from its end on.
fn leaf(mut page: Vec<u8>, kind: u8, cells: &[Vec<u8>]) -> Vec<u8> {
    page.extend([kind, 0, 0, 0, u8::try_from(cells.len()).unwrap(), 0, 0, 0]);
    let mut end = PAGE;
    let mut content = Vec::new();
    for cell in cells {
        end -= cell.len();
        page.extend(u16::try_from(end).unwrap().to_be_bytes());
        content = [cell.clone(), content].concat();
    }
    page.resize(end, 0);
    [page, content].concat()
}
