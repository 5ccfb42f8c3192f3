// Params of the kernels that read heads (turbo_wgsl::params::KvDecodeParams).

struct KvDecodeParams {
    zero: u32,
    rotated: u32,
    tokens: u32,
    heads: u32,
    head_dim: u32,
    row: u32,
    first: u32,
    tiles: u32,
    offset: u32,
    block_words: u32,
    first_block: u32,
    blocks: u32,
}
