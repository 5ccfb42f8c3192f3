// Which head of 128 values the lanes of a subgroup work on, without a division: the grid says it.
//
// Grid: x two heads each of the sides of a token, y and z tokens. A workgroup of 64 is two heads of 32 lanes.
// Needs what kv_job needs.

#import kv_job SIDES=2

// A head, and where its values are, which is known before its place in the cache is.
struct Head128 {
    exists: bool,
    side: u32,
    token: u32,
    head: u32,
    // First value of the head by vectors of `params.row`; `width` values make a vector.
    at: u32,
}

fn head_128(id: vec3<u32>, size: vec3<u32>, local: u32, width: u32) -> Head128 {
    let i = id.x * 2u + local / 32u;
    let asked = id.z * size.y + id.y;
    let second = i >= params.heads;
    let exists = i < params.heads * params.sides && asked < params.tokens;
    // Lanes without a head load the first one.
    let side = u32(second && exists);
    let head = select(0u, i - select(0u, params.heads, second), exists);
    let token = select(0u, asked, exists);
    let first = select(params.first.x, params.first.y, side == 1u);
    let row = select(params.row.x, params.row.y, side == 1u);
    return Head128(exists, side, token, head, first + token * row + head * (128u / width));
}

fn job_128(h: Head128, unit_words: u32) -> Job {
    let offset = select(params.offset.x, params.offset.y, h.side == 1u);
    return job(h.exists, h.side, h.token, h.head, offset, unit_words);
}
