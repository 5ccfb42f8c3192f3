//! Scratch.
use turbo_gpu::{Gpu, GpuOptions, adapters};
use turbo_parity::{Effort, run};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let effort = if a[1] == "full" { Effort::Full } else { Effort::Quick };
    for adapter in adapters() {
        if adapter.description.refused.is_some() { continue; }
        let options = GpuOptions { uniform_params: a.get(4).is_some(), checked: a.get(4).is_some(), ..GpuOptions::default() };
        if !adapter.description.to_string().contains(&a[3]) { continue; }
        let gpu = Gpu::open(&adapter, &options).expect("opens");
        eprintln!("{} {:?}", adapter.description, adapter.description.capabilities.subgroup);
        if a[1] == "bench" { bench(&gpu); continue; }
        let r = run(&gpu, effort, Some(&a[2]), |row| {
            eprintln!("{}[{}] {} vectors {} bad {:?} {:.2} s {} {:?}", row.kernel, row.variant, row.vectors, row.mismatches, row.verdict, row.seconds, row.not_run.as_deref().unwrap_or(""), row.first);
        });
        if let Err(e) = r { eprintln!("error {e}"); }
    }
}
fn bench(gpu: &Gpu) {
    use turbo_backend::SideLayout;
    use turbo_gpu::kv::cache::{PoolPart, Rows};
    use turbo_gpu::kv::kv_encode::{KvEncode, NewHeads};
    use turbo_quant::KvType;
    for ty in KvType::ALL {
      for lanes in ["lanes32", "lanes8", ""] {
        let kernel = turbo_gpu::kv::kv_encode::kernel(ty);
        let name = match (ty.is_coded(), lanes) { (true, "") => ty.name().to_owned(), (true, l) => format!("{ty},{l}"), (false, l) => l.to_owned() };
        let Some(variant) = kernel.variant(&name) else { continue };
        if gpu.capabilities().unmet(variant).is_some() { continue; }
        for tokens in [1usize, 512] {
            let layout = SideLayout::new(ty, 8, 128).unwrap();
            let block_words = 2 * layout.block_words();
            let x: Vec<f32> = turbo_parity::Inputs::new(1).normals(tokens * 1024);
            let (k, v) = (gpu.upload("k", &x).unwrap(), gpu.upload("v", &x).unwrap());
            let slots: Vec<u32> = (0..tokens as u32).collect();
            let slots = gpu.upload("s", &slots).unwrap();
            let faults = gpu.upload("f", &[0u32; 4]).unwrap();
            let pool = gpu.buffer::<u32>("p", 16 * block_words).unwrap();
            let new = |b: &turbo_gpu::Buffer<f32>, offset| NewHeads { rows: Rows { bind: unsafe { std::mem::transmute(b.bind()) }, first: 0, row: 1024 }, layout, offset };
            let call = KvEncode { k: Some(new(&k, 0)), v: Some(new(&v, layout.block_words() as u32)), tokens: tokens as u32, slots: slots.bind(),
                pool: PoolPart { bind: pool.bind(), first_block: 0, blocks: 16, block_words: block_words as u32 }, faults: faults.bind(), fault: 0 };
            let mut best = f64::MAX;
            for _ in 0..5 {
                let n = 500;
                let mut r = gpu.recorder("b");
                for _ in 0..n { call.record_with(&mut r, |_, _| Ok(variant)).unwrap(); }
                let t = std::time::Instant::now();
                r.submit().unwrap(); gpu.wait().unwrap();
                best = best.min(t.elapsed().as_secs_f64() * 1e6 / n as f64);
            }
            let mut timed = Vec::new();
            if let Ok(mut r) = gpu.recorder("t").with_timing() {
                for _ in 0..50 { call.record_with(&mut r, |_, _| Ok(variant)).unwrap(); }
                timed = r.submit_timed().unwrap().into_iter().map(|(_, t)| t / 1e3).collect();
                timed.sort_by(f64::total_cmp);
            }
            eprintln!("bench {} {tokens} tokens: {best:.2} us dependent, timed median {:?}", variant.label, timed.get(25));
        }
      }
    }
}
