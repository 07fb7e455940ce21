using System.Globalization;
using RedisFailover.Chaos.Systems;

namespace RedisFailover.Chaos;

/// <summary>Runs what was asked for, prints the tables, and says by the exit code whether this system kept its promises.</summary>
internal static class ChaosProgram
{
    /// <summary>0: all well; 1: a promise was broken (the last lines say which).</summary>
    internal static async Task<int> RunAsync(string[] arguments, CancellationToken ct)
    {
        ChaosOptions options = ChaosOptions.Parse(arguments);
        string directory = options.Logs ?? Path.Combine(Path.GetTempPath(), "logs");
        Network network = new(options.Namespaces);
        await network.SetUpAsync();
        IReadOnlyList<FaultKind> kinds = [.. Catalogue.All.Where(kind =>
            (network.CanCut || !kind.Needs.HasFlag(Needs.Cuts)) && (options.Only.Count == 0 || options.Only.Contains(kind.Name)))];
        if (kinds.Count == 0)
        {
            throw new ChaosException("none of these faults can be made on this machine: it allows no network namespaces");
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"seed {options.Seed}, {options.Minutes} min, "
                + $"{(options.Replicated ? "write safety replicated, WAIT 1" : "write safety none")}, "
                + $"{(options.AppendOnly ? "append-only files" : "no persistence")}, 2 clients x {options.Rate} writes/s"
                + $"{(network.CanCut ? "" : "; NO NETWORK NAMESPACES HERE: nothing is cut")}"));
        List<(string Name, ChaosRun Run)> runs = [];
        if (options.Ours)
        {
            await using OurSystem ours = await OurSystem.StartAsync(network, Path.Combine(directory, "ours"), options, ct);
            runs.Add((ours.Name, await RunAsync(ours, kinds, Path.Combine(directory, "ours"), options, ct)));
        }

        if (options.Sentinel)
        {
            kinds = [.. kinds.Where(kind => !kind.Needs.HasFlag(Needs.ZooKeeper))];
            await using SentinelSystem sentinel = await SentinelSystem.StartAsync(network, Path.Combine(directory, "sentinel"), options);
            runs.Add((sentinel.Name, await RunAsync(sentinel, kinds, Path.Combine(directory, "sentinel"), options, ct)));
        }

        Report.Print(runs);
        return options.Ours ? Report.Verdict(runs[0].Run, options) : 0;
    }

    private static async Task<ChaosRun> RunAsync(
        ISystem system, IReadOnlyList<FaultKind> kinds, string directory, ChaosOptions options, CancellationToken ct)
    {
        Console.WriteLine($"\n{system.Name}: {string.Join(", ", system.Nodes.Select(n => $"{n.Machine} {n.Address}"))}");
        ChaosRun run = new(system, new Schedule(options.Seed, kinds), TimeSpan.FromMinutes(options.Minutes), options.Seed);
        await run.RunAsync(ct);
        await system.SaveRecordsAsync(directory, ct);
        return run;
    }
}
