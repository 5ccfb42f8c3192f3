// The rows of a workgroup of attention_decode or attention_prefill, and what one of attention_decode works on: sequence,
// K/V head, rows, chunks.
//
// Words: ROWS, THREADS invocations of the workgroup.

const ABSENT = 0xffffffffu;

// Of every row: its index in queries and results (ABSENT if there is none), first key seen, last key seen + 1.
var<workgroup> rows: array<vec3<u32>, ROWS>;

struct Work {
    sequence: u32,
    kv_head: u32,
    first_row: u32,
    // The chunks of the workgroup: none if first_chunk >= end_chunk.
    first_chunk: u32,
    end_chunk: u32,
    // First chunk that the sequence sees.
    seen_chunk: u32,
}

fn work_of(workgroup: u32) -> Work {
    let span = workgroup % params.spans;
    let group = workgroup / params.spans;
    let first_row = (group % params.row_groups) * ROWS;
    let kv_head = (group / params.row_groups) % params.kv_heads;
    let index = group / (params.row_groups * params.kv_heads);
    if index >= params.sequences {
        return Work(0u, 0u, 0u, 0u, 0u, 0u);
    }
    let sequence = sequences[index];
    if first_row >= sequence.tokens * params.group {
        return Work(0u, 0u, 0u, 0u, 0u, 0u);
    }
    let seen = first_seen(sequence.start) / CHUNK;
    let first = seen + span * params.span_chunks;
    let behind = (sequence.start + sequence.tokens - 1u) / CHUNK + 1u;
    return Work(index, kv_head, first_row, first, min(first + params.span_chunks, behind), seen);
}

// Fills in `rows` for a K/V head and rows from `first` on.
fn find_rows(sequence: Sequence, kv_head: u32, first: u32, t: u32) {
    for (var i = t; i < ROWS; i += THREADS) {
        rows[i] = row_of(sequence, kv_head, first + i);
    }
}

fn row_of(sequence: Sequence, kv_head: u32, row: u32) -> vec3<u32> {
    var token = 0u;
    if sequence.tokens > 1u {
        token = row / params.group;
    }
    if token >= sequence.tokens || row - token * params.group >= params.group {
        return vec3<u32>(ABSENT, 0u, 0u);
    }
    let head = kv_head * params.group + row - token * params.group;
    let index = (sequence.first + token) * params.kv_heads * params.group + head;
    let position = sequence.start + token;
    return vec3<u32>(index, first_seen(position), position + 1u);
}
