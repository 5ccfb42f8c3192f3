// The largest logits of a row, in order, by one workgroup of 256 invocations; sampling/choose has the bindings.

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> sums: array<u32, 16>;
// Of the search: the bits of the limit found so far, how many keys at or above it are wanted still, keys equal to it.
var<workgroup> limit: u32;
var<workgroup> wanted: u32;
var<workgroup> equal: u32;
var<workgroup> found: atomic<u32>;
var<workgroup> last_chunk: u32;
var<workgroup> candidates_found: u32;
// Chunks with candidates in them: fewer than n above the limit, n at it (or all, of fewer than 256 chunks).
var<workgroup> chunks_taken: array<u32, 512>;
var<workgroup> taken: atomic<u32>;
var<workgroup> block: array<vec2<u32>, 256>;
var<workgroup> sorted: array<vec2<u32>, 256>;

// Maxima of chunks `c`, c + 256 and so on; of the last one behind the end.
fn four_maxima(row: u32, c: u32) -> vec4<u32> {
    let at = vec4<u32>(row * params.chunks) + min(vec4<u32>(c) + vec4<u32>(0u, 256u, 512u, 768u), vec4<u32>(params.chunks - 1u));
    return vec4<u32>(maxima[at.x], maxima[at.y], maxima[at.z], maxima[at.w]);
}

// Leaves in `limit` the n-th largest of the maxima, n at most params.chunks, in `equal` how many are equal to it. There are
// at least n logits not below it.
fn find_limit(row: u32, n: u32, t: u32) {
    if t == 0u {
        limit = 0u;
        wanted = n;
    }
    for (var shift = 32u; shift > 0u; ) {
        shift -= 8u;
        atomicStore(&counts[t], 0u);
        workgroupBarrier();
        let above = limit;
        for (var c = t; c < params.chunks; c += 1024u) {
            // Four at a time: the loop would wait for every one.
            let keys = four_maxima(row, c);
#repeat J 4
            // Bits that are settled; a shift by 32 would be one by 0.
            if c + 256u * J < params.chunks && ((keys[J] ^ above) >> shift) >> 8u == 0u {
                atomicAdd(&counts[(keys[J] >> shift) & 255u], 1u);
            }
#end
        }
        workgroupBarrier();
        if t < 16u {
            var sum = 0u;
            for (var i = 0u; i < 16u; i++) {
                sum += atomicLoad(&counts[16u * t + i]);
            }
            sums[t] = sum;
        }
        workgroupBarrier();
        if t == 0u {
            var group = 15u;
            while group > 0u && sums[group] < wanted {
                wanted -= sums[group];
                group--;
            }
            var bin = 15u;
            while bin > 0u && atomicLoad(&counts[16u * group + bin]) < wanted {
                wanted -= atomicLoad(&counts[16u * group + bin]);
                bin--;
            }
            equal = atomicLoad(&counts[16u * group + bin]);
            limit = above | ((16u * group + bin) << shift);
        }
        workgroupBarrier();
    }
}

// Collects all logits that may be among the n largest of the row: those not below the n-th largest maximum. Of chunks
// whose maximum is just that, the first n are enough, for of equal logits the first count.
fn collect_candidates(row: u32, n: u32, t: u32) {
    find_limit(row, min(n, params.chunks), t);
    if t == 0u {
        atomicStore(&found, 0u);
        atomicStore(&taken, 0u);
        last_chunk = params.chunks;
        if n > params.chunks {
            limit = 0u;
        } else if equal > n {
            var left = n;
            for (var c = 0u; left > 0u && c < params.chunks; c++) {
                left -= select(0u, 1u, maxima[row * params.chunks + c] == limit);
                last_chunk = c;
            }
        }
    }
    workgroupBarrier();
    let base = (params.first_row + row) * params.n_vocab;
    for (var first = t; first < params.chunks; first += 1024u) {
        let keys = four_maxima(row, first);
        for (var j = 0u; j < 4u; j++) {
            let c = first + 256u * j;
            let key = keys[j];
            if c < params.chunks && key >= limit && key > 0u && (key > limit || c <= last_chunk) {
                chunks_taken[atomicAdd(&taken, 1u)] = c;
            }
        }
    }
    workgroupBarrier();
    for (var i = t; i < 32u * atomicLoad(&taken); i += 256u) {
        let id = 32u * chunks_taken[i / 32u] + i % 32u;
        let candidate = logit_key(logits[base + min(id, params.n_vocab - 1u)]);
        if id < params.n_vocab && candidate >= limit && candidate > 0u {
            candidates[row * params.room + atomicAdd(&found, 1u)] = vec2<u32>(candidate, id);
        }
    }
    storageBarrier();
    workgroupBarrier();
    if t == 0u {
        candidates_found = atomicLoad(&found);
    }
}

fn is_better(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

// Leaves in `sorted` the top_k largest candidates, the largest first; returns how many there are.
fn sort_candidates(row: u32, top_k: u32, t: u32) -> u32 {
    let n = workgroupUniformLoad(&candidates_found);
    for (var first = 0u; first < n; first += 256u) {
        let mine = candidates[row * params.room + min(first + t, n - 1u)];
        var rank = 0u;
        for (var other = 0u; other < n; other += 256u) {
            // A key of 0 is better than none.
            let present = other + t < n;
            block[t] = select(vec2<u32>(0u), candidates[row * params.room + min(other + t, n - 1u)], present);
            workgroupBarrier();
            // Long steps: llvmpipe ends the loops of an invocation after 65535 rounds in all.
            for (var i = 0u; i < 256u; i += 32u) {
#repeat J 32
                rank += select(0u, 1u, is_better(block[i + J], mine));
#end
            }
            workgroupBarrier();
        }
        if first + t < n && rank < top_k {
            sorted[rank] = mine;
        }
    }
    workgroupBarrier();
    return min(n, top_k);
}
