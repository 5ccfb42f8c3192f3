// Codes of the rows' queries in workgroup memory, and their dot products with levels.

// Codes of the rows' queries, per octet and row: as the levels of keys come, even and odd values.
#if K_TYPE == 0
var<workgroup> query_octets: array<vec4<u32>, OCTETS * ROWS>;
#else
var<workgroup> query_octets: array<vec2<u32>, OCTETS * ROWS>;
#endif

fn load_queries(t: u32) {
    let octets = DIM_K / 8u;
#if K_TYPE == 0
    let row_words = octets * 4u;
#else
    let row_words = octets * 2u;
#endif
    for (var i = t; i < octets * ROWS; i += 64u) {
        let row = i % ROWS;
        let index = rows[row].x;
        let at = select(index, 0u, index == ABSENT) * row_words + (i / ROWS) * 2u;
        let present = select(0xffffffffu, 0u, index == ABSENT);
        let a = queries[at] & present;
        let b = queries[at + 1u] & present;
#if K_TYPE == 0
        let plane = octets * 2u;
        query_octets[i] = vec4<u32>(a, b, queries[at + plane] & present, queries[at + plane + 1u] & present);
#else
        query_octets[i] = vec2<u32>(even_bytes(a, b), even_bytes(a >> 8u, b >> 8u));
#endif
    }
    workgroupBarrier();
}

// Bytes 0 and 2 of a, then of b.
fn even_bytes(a: u32, b: u32) -> u32 {
    return (a & 0xffu) | ((a >> 8u) & 0xff00u) | ((b & 0xffu) << 16u) | ((b & 0xff0000u) << 8u);
}

fn dots(levels: vec4<u32>, q: u32) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(levels.x, q),
        dot4I8Packed(levels.y, q),
        dot4I8Packed(levels.z, q),
        dot4I8Packed(levels.w, q),
    );
}
