namespace RedisFailover.Cli.Load;

/// <summary>What load does, and for how long.</summary>
/// <param name="Writes">Writes per second.</param>
/// <param name="Reads">Reads per second.</param>
/// <param name="Duration">Null: until Ctrl-C.</param>
/// <param name="Gap">Gaps between two acknowledged writes that are longer are printed.</param>
internal sealed record LoadOptions(double Writes, double Reads, TimeSpan? Duration, TimeSpan Gap);
