using RedisFailover.Chaos.Load;

namespace RedisFailover.Chaos;

/// <summary>What one episode did to the clients' writes.</summary>
/// <param name="Acknowledged">So many were acknowledged.</param>
/// <param name="Outage">The longest time in which no write was acknowledged that was kept.</param>
/// <param name="Lost">So many were acknowledged and are not on the master.</param>
/// <param name="ByTwo">So many were acknowledged by a node after a newer master had begun to acknowledge others.</param>
/// <param name="ByTwoFor">For how long that went on.</param>
internal sealed record Writes(int Acknowledged, TimeSpan Outage, int Lost, int ByTwo, TimeSpan ByTwoFor);

/// <summary>Every acknowledged write, compared with what the master holds.</summary>
internal sealed class Ledger(IReadOnlyList<JournalReader> journals)
{
    private readonly List<Acknowledged> _all = [];
    private readonly List<Acknowledged> _unchecked = [];
    private readonly HashSet<(int Client, long Number)> _lost = [];
    private readonly Dictionary<Tenure, DateTime> _first = [];
    private readonly Dictionary<int, DateTime> _lastBegun = [];

    internal int Count => _all.Count;

    internal int Lost => _lost.Count;

    internal int Failed => journals.Sum(journal => journal.Failures);

    /// <summary>Reads on in the journals; whether every client has had a write acknowledged that it began after that moment.</summary>
    internal bool AllWriteAgain(DateTime since)
    {
        for (int i = 0; i < journals.Count; i++)
        {
            IReadOnlyList<Acknowledged> read = journals[i].Read();
            _unchecked.AddRange(read);
            foreach (Acknowledged write in read)
            {
                _lastBegun[i] = _lastBegun.TryGetValue(i, out DateTime last) && last > write.Begun ? last : write.Begun;
            }
        }

        return Enumerable.Range(0, journals.Count).All(i => _lastBegun.TryGetValue(i, out DateTime last) && last > since);
    }

    /// <summary>Looks up everything acknowledged since the last time.</summary>
    internal async Task<Writes> CloseAsync(DateTime begun, RedisNode master, IReadOnlyList<Tenure> tenures, IReadOnlyList<RedisNode> nodes,
        CancellationToken ct)
    {
        _ = AllWriteAgain(begun);
        Acknowledged[] writes = [.. _unchecked.OrderBy(write => write.At)];
        _unchecked.Clear();
        _all.AddRange(writes);
        int lost = await LookUpAsync(writes, master, ct);
        DateTime last = begun;
        TimeSpan outage = TimeSpan.Zero;
        foreach (Acknowledged write in writes.Where(write => write.At > begun && !_lost.Contains((write.Client, write.Number))))
        {
            outage = write.At - last > outage ? write.At - last : outage;
            last = write.At;
        }

        (int byTwo, TimeSpan byTwoFor) = ByTwo(writes, tenures, nodes);
        return new Writes(writes.Length, outage, lost, byTwo, byTwoFor);
    }

    /// <summary>Looks up everything once more; how many are lost that were not before.</summary>
    internal Task<int> LookUpAllAsync(RedisNode master, CancellationToken ct) => LookUpAsync(_all, master, ct);

    private async Task<int> LookUpAsync(IEnumerable<Acknowledged> writes, RedisNode master, CancellationToken ct)
    {
        int lost = 0;
        foreach (IGrouping<string, Acknowledged> set in writes.GroupBy(write => write.Key))
        {
            HashSet<string> kept = await master.MembersAsync(set.Key, ct)
                ?? throw new IOException($"{master.Address} cannot be asked what it holds");
            lost += set.Count(write => !kept.Contains(write.Number.ToString(System.Globalization.CultureInfo.InvariantCulture))
                && _lost.Add((write.Client, write.Number)));
        }

        return lost;
    }

    private (int Count, TimeSpan For) ByTwo(Acknowledged[] writes, IReadOnlyList<Tenure> tenures, IReadOnlyList<RedisNode> nodes)
    {
        Tenure[] ordered = [.. tenures.OrderBy(tenure => tenure.From)];
        int Port(Tenure tenure) => nodes.Single(node => node.Machine == tenure.Node).Port;
        foreach (Tenure tenure in ordered.Where(tenure => !_first.ContainsKey(tenure)))
        {
            int port = Port(tenure);
            if (writes.FirstOrDefault(write => write.Node == port && write.At >= tenure.From) is { Node: not 0 } first)
            {
                _first[tenure] = first.At;
            }
        }

        int count = 0;
        TimeSpan longest = TimeSpan.Zero;
        foreach (Acknowledged write in writes)
        {
            int newest = Array.FindLastIndex(ordered, tenure => _first.TryGetValue(tenure, out DateTime first) && first < write.Begun);
            if (newest >= 0 && Port(ordered[newest]) != write.Node
                && !ordered.Skip(newest + 1).Any(later => Port(later) == write.Node && write.At >= later.From))
            {
                count++;
                TimeSpan so = write.At - _first[ordered[newest]];
                longest = so > longest ? so : longest;
            }
        }

        return (count, longest);
    }
}
