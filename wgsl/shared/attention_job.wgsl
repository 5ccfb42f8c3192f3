// What an attention dispatch is about: params, sequences, and which rows see which keys.
//
// A row is one query head of one query token. Rows of a K/V head are numbered token by token: row = token * group + g.

// The params of the kernels of attention.
struct AttentionParams {
    zero: u32,
    sequences: u32,
    kv_heads: u32,
    group: u32,
    head_dim_k: u32,
    head_dim_v: u32,
    k_words: u32,
    v_words: u32,
    k_unit: u32,
    v_unit: u32,
    k_block: u32,
    v_block: u32,
    k_first: u32,
    v_first: u32,
    window: u32,
    cap_limit: u32,
    cap_factor: f32,
    score_factor: f32,
    row_groups: u32,
    spans: u32,
    span_chunks: u32,
    slots: u32,
    k_blocks: u32,
    v_blocks: u32,
    rows: u32,
    sinks: u32,
    key_bias: u32,
    fine_plane: u32,
}

// One sequence: its query tokens are `first` .. `first + tokens`, the first one at position `start`; its block table
// starts at word `table`.
struct Sequence {
    first: u32,
    tokens: u32,
    start: u32,
    table: u32,
}

const CHUNK = 256u;
const TILE = 64u;

// Words of a partial before its sums: l, e of the denominator, e, bound of every scale block of V; whole vectors.
fn partial_head(blocks: u32) -> u32 {
    return (2u * blocks + 5u) & ~3u;
}

// First position that the query at `position` sees.
fn first_seen(position: u32) -> u32 {
    let whole = params.window == 0u || position < params.window;
    return select(position - params.window + 1u, 0u, whole);
}
