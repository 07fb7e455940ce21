using System.Globalization;

namespace RedisFailover.Chaos;

/// <summary>The tables, side by side, and the verdict.</summary>
internal static class Report
{
    internal static void Print(IReadOnlyList<(string Name, ChaosRun Run)> runs)
    {
        Console.WriteLine();
        Console.WriteLine(
            "no writes: the longest time in an episode in which nothing was acknowledged that was kept, median and longest, ms");
        Console.WriteLine(
            "whole: from the last healing until one master, all nodes following, the system content and all clients writing, longest, s");
        Console.WriteLine("by two: writes acknowledged by a node after a newer master had begun to acknowledge others");
        Console.WriteLine();
        Console.WriteLine("".PadRight(26) + string.Concat(runs.Select(run => "| " + run.Name.PadRight(52))));
        Console.WriteLine("fault".PadRight(26)
            + string.Concat(runs.Select(_ => "|    n   no writes, ms    lost   by two   whole  broken ")));
        IEnumerable<string> kinds = [.. Catalogue.Names, "two at once"];
        foreach (string kind in kinds.Where(kind => runs.Any(run => run.Run.Outcomes.Any(o => o.Kind == kind))))
        {
            Line(kind, run => [.. run.Outcomes.Where(o => o.Kind == kind)]);
        }

        Line("all", run => [.. run.Outcomes]);
        foreach ((string name, ChaosRun run) in runs)
        {
            int lost = run.Ledger.Lost;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{name}: {run.Ledger.Count} writes acknowledged, {run.Ledger.Failed} failed, {lost} acknowledged and lost "
                    + $"({(double)lost / Math.Max(1, run.Ledger.Count):P3}), an operator was needed {run.OperatorCalls} times"));
        }

        void Line(string kind, Func<ChaosRun, Outcome[]> of)
            => Console.WriteLine(kind.PadRight(26) + string.Concat(runs.Select(run => "| " + Cell(of(run.Run)).PadRight(52))));
    }

    /// <summary>0 when this system kept what it promises.</summary>
    internal static int Verdict(ChaosRun run, ChaosOptions options)
    {
        List<string> broken = [];
        if (run.Outcomes.Any(o => o.WholeAfter is null))
        {
            broken.Add("it did not come back to one master whom all follow");
        }

        if (options.Replicated && run.Ledger.Lost > 0)
        {
            broken.Add($"{run.Ledger.Lost} writes were lost that a replica had confirmed");
        }

        if (run.Outcomes.Count(o => o.LossUnnoted) is > 0 and int unnoted)
        {
            broken.Add($"losses of {unnoted} episodes are not in the history");
        }

        if (run.LostLater > 0)
        {
            broken.Add($"{run.LostLater} writes were lost after they had been found on the master, in an episode that had ended well");
        }

        Console.WriteLine(broken.Count == 0 ? "verdict: every promise kept" : "verdict: BROKEN: " + string.Join("; ", broken));
        return broken.Count == 0 ? 0 : 1;
    }

    private static string Cell(Outcome[] outcomes)
    {
        if (outcomes.Length == 0)
        {
            return "   -";
        }

        double[] outages = [.. outcomes.Where(o => o.WholeAfter is not null).Select(o => o.Writes.Outage.TotalMilliseconds).Order()];
        double[] whole = [.. outcomes.Select(o => o.WholeAfter).OfType<TimeSpan>().Select(t => t.TotalSeconds)];
        int broken = outcomes.Count(o => o.WholeAfter is null || o.LossUnnoted);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{outcomes.Length,3} {(outages.Length > 0 ? outages[outages.Length / 2] : 0),7:0} "
                + $"{(outages.Length > 0 ? outages[^1] : 0),7:0} {outcomes.Sum(o => o.Writes.Lost),7} "
                + $"{outcomes.Sum(o => o.Writes.ByTwo),8} {(whole.Length > 0 ? whole.Max() : 0),7:0.0} {broken,7}");
    }
}
