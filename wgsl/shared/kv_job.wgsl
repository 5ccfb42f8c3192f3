// Which head a lane works on: the heads of the tokens of a batch, scattered over the blocks of a cache.
//
// Needs `params` with tokens, heads, offset, block_words, first_block, blocks (and sides), and a buffer `slots`.
// Words: SIDES, 2 where one dispatch may do K and V.

// Tokens of a block.
const BLOCK = 64u;

struct Job {
    // Whether there is such a head, and its token is in this part of the pool.
    inside: bool,
    // 0 the first side, 1 the second.
    side: u32,
    token: u32,
    head: u32,
    // First word of the head in its block, and place of the token in the block.
    unit: u32,
    place: u32,
}

#if SIDES == 2
fn job_of(index: u32, unit_words: vec2<u32>) -> Job {
    let jobs = params.tokens * params.sides * params.heads;
    let i = min(index, jobs - 1u);
    let row = i / params.heads;
    // One or two sides: no division.
    let side = row & (params.sides - 1u);
    let token = row >> (params.sides - 1u);
    return job(index < jobs, side, token, i - row * params.heads, params.offset[side], unit_words[side]);
}
#else
fn job_of(index: u32, unit_words: u32) -> Job {
    let jobs = params.tokens * params.heads;
    let i = min(index, jobs - 1u);
    return job(index < jobs, 0u, i / params.heads, i % params.heads, params.offset, unit_words);
}
#endif

fn job(exists: bool, side: u32, token: u32, head: u32, offset: u32, unit_words: u32) -> Job {
    let slot = slots[token];
    // A block before the first one wraps to a large number.
    let block = slot / BLOCK - params.first_block;
    let inside = exists && block < params.blocks;
    let unit = block * params.block_words + offset + head * unit_words;
    return Job(inside, side, token, head, unit, slot % BLOCK);
}
