// Params of the kernels that store heads (turbo_wgsl::params::KvEncodeParams).

struct KvEncodeParams {
    zero: u32,
    tokens: u32,
    head_dim: vec2<u32>,
    row: vec2<u32>,
    first: vec2<u32>,
    offset: vec2<u32>,
    heads: u32,
    sides: u32,
    first_side: u32,
    tiles: u32,
    block_words: u32,
    first_block: u32,
    blocks: u32,
    fault: u32,
}
