// Packs one plane of the codes of a tile and stores it: bits SHIFT .. SHIFT + BITS - 1 of every code. Value i of a head
// is in word i * BITS / 32, from bit i * BITS % 32 on.
//
// Words: those of tile; BITS 1, 2, 4 or 8; SHIFT. Import it with store_plane=NAME. Codes beyond `count` are 0.

#import tile

// `base` is the word of the tile's first value. Every lane of the head takes part; nothing is stored if not `stored`.
fn store_plane(codes: Codes, base: u32, lane: u32, count: u32, stored: bool) {
    // Vectors in a word.
    const width = 8u / BITS;
    var word = 0u;
#repeat V Q
    {
        let vector = lane * Q + V;
        let code = (codes[V] >> vec4<u32>(SHIFT)) & vec4<u32>((1u << BITS) - 1u);
        let four = code.x | (code.y << BITS) | (code.z << (2u * BITS)) | (code.w << (3u * BITS));
        word |= four << (vector % width * (4u * BITS));
    }
    if (V + 1u) % width == 0u || V + 1u == Q {
#if LANES != 1
        for (var joined = u32(Q); joined < width; joined *= 2u) {
            word |= subgroupShuffleXor(word, joined / Q);
        }
#endif
        let first = lane * Q + V + 1u - min(width, Q);
        if stored && first % width == 0u && first * 4u < count {
            atomicStore(&pool[base + first / width], word);
        }
        word = 0u;
    }
#end
}
