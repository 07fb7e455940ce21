using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using RedisFailover.Chaos.Load;
using RedisFailover.Chaos.Systems;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Chaos;

/// <summary>What became of one episode.</summary>
internal sealed record Outcome(string Kind, Writes Writes, TimeSpan? WholeAfter, bool LossUnnoted);

/// <summary>One system through one schedule: strike, heal, wait until all is well again, look up every acknowledged write.</summary>
internal sealed class ChaosRun(ISystem system, Schedule schedule, TimeSpan duration, int seed)
{
    /// <summary>Long enough for a full copy, a round of elections and every back-off that the parts have.</summary>
    private static readonly TimeSpan WholeLimit = TimeSpan.FromSeconds(90);

    /// <summary>After this an operator looks what the system says that it waits for.</summary>
    private static readonly TimeSpan OperatorComes = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(50);
    private const int GlancesInARow = 5;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly Random _targets = new(seed);
    private readonly Ledger _ledger =
        new([.. system.Clients.Select((client, i) => new JournalReader(i + 1, Path.Combine(client.Directory, "journal")))]);
    private readonly List<Outcome> _outcomes = [];
    private Machine? _leader;

    internal IReadOnlyList<Outcome> Outcomes => _outcomes;

    internal Ledger Ledger => _ledger;

    /// <summary>Lost in the end that had been there when their own episode ended.</summary>
    internal int LostLater { get; private set; }

    /// <summary>How many times only an operator could go on.</summary>
    internal int OperatorCalls { get; private set; }

    internal async Task RunAsync(CancellationToken ct)
    {
        await using Roles roles = new(system.Nodes);
        RedisNode master = await WaitUntilWholeAsync(roles, WallClock.Now, ct)
            ?? throw new ChaosException($"{system.Name} did not come up");
        await _ledger.CloseAsync(WallClock.Now, master, roles.Tenures, system.Nodes, ct);
        Dictionary<Machine, (int Threads, int Descriptors)> before = Watched.ToDictionary(machine => machine, machine => machine.Footprint);
        while (Stopwatch.GetElapsedTime(_start) < duration)
        {
            if (await RunAsync(schedule.Next(), roles, ct) is not { } next)
            {
                return;
            }

            master = next;
        }

        LostLater = await _ledger.LookUpAllAsync(master, ct);
        Print("threads and open descriptors, at first and now: " + string.Join(", ", Watched.Select(machine =>
            $"{machine} {before[machine].Threads}/{before[machine].Descriptors} "
                + $"{machine.Footprint.Threads}/{machine.Footprint.Descriptors}")));
    }

    private IEnumerable<Machine> Watched => system.Monitors.Concat(system.Clients);

    /// <summary>Returns the master in the end, null when nobody is.</summary>
    private async Task<RedisNode?> RunAsync(Episode episode, Roles roles, CancellationToken ct)
    {
        DateTime begun = WallClock.Now;
        Print($"#{episode.Number} {episode.Kind}");
        try
        {
            await Task.WhenAll(episode.Blows.Select(async blow =>
            {
                await Task.Delay(blow.After, ct);
                Blow struck = await StrikeAsync(blow.Kind, roles, ct);
                Print($"   {blow.Kind.Name} ({struck.Target}), {Seconds(blow.For)}");
                await Task.Delay(blow.For, ct);
                await struck.Heal();
            }));
        }
        catch (Exception e) when (e is ZooKeeperException or IOException or SocketException or RedisErrorException)
        {
            // A switchover asked for while nobody could be asked, for one.
            Print($"   could not be done: {e.Message}");
        }

        DateTime healed = WallClock.Now;
        RedisNode? master = await WaitUntilWholeAsync(roles, healed, ct);
        if (master is null)
        {
            _outcomes.Add(new Outcome(episode.Kind, new Writes(0, TimeSpan.Zero, 0, 0, TimeSpan.Zero), null, false));
            return null;
        }

        TimeSpan wholeAfter = WallClock.Now - healed - (GlancesInARow * Glance);
        Writes writes = await _ledger.CloseAsync(begun, master, roles.Tenures, system.Nodes, ct);
        IReadOnlyList<string>? noted = writes.Lost > 0 ? await NotedAsync(begun, ct) : null;
        _outcomes.Add(new Outcome(episode.Kind, writes, wholeAfter, noted is { Count: 0 }));
        Print(string.Create(
            CultureInfo.InvariantCulture,
            $"   whole after {Seconds(wholeAfter)}, no writes for {writes.Outage.TotalMilliseconds:0} ms, lost {writes.Lost} of "
                + $"{writes.Acknowledged}")
            + (writes.ByTwo > 0
                ? string.Create(CultureInfo.InvariantCulture,
                    $", {writes.ByTwo} acknowledged beside a newer master for {Seconds(writes.ByTwoFor)}") : "")
            + (noted is null ? "" : noted.Count == 0 ? "; NOT in the history" : "; the history says: " + string.Join(" | ", noted)));
        return master;
    }

    private async Task<Blow> StrikeAsync(FaultKind kind, Roles roles, CancellationToken ct)
    {
        // Amid another fault nobody may lead, or be seen as master, at this moment: the last one is meant.
        RedisNode master = MasterBy(roles) ?? system.Nodes.Single(node => node.Machine == roles.Tenures.MaxBy(tenure => tenure.From).Node);
        try
        {
            using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(TimeSpan.FromSeconds(1));
            _leader = await system.LeaderAsync(deadline.Token);
        }
        catch (Exception e) when (e is ZooKeeperException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            _leader ??= system.Monitors[0];
        }

        return await kind.StrikeAsync(
            new Targets(system, master, [.. system.Nodes.Where(n => n != master)], _leader, [.. system.Monitors.Where(m => m != _leader)],
                _targets), ct);
    }

    private RedisNode? MasterBy(Roles roles)
        => system.Nodes.Where(node => roles.Of(node.Machine) is { Follows: null }).ToArray() is [var only] ? only : null;

    private async Task<RedisNode?> WaitUntilWholeAsync(Roles roles, DateTime since, CancellationToken ct)
    {
        long start = Stopwatch.GetTimestamp();
        int well = 0;
        bool helped = false;
        string? complaint = null;
        (RedisNode? Master, long Offset) goal = (null, 0);
        while (Stopwatch.GetElapsedTime(start) < WholeLimit)
        {
            complaint = await ComplaintAsync(roles, since, ct);
            if (complaint is null && MasterBy(roles) is { } master && roles.Of(master.Machine) is { } now)
            {
                // A link may be up and yet wait for what was lost on the way to be sent again: a replica is one when it has caught up.
                goal = goal.Master == master ? goal : (master, now.Offset);
                RedisNode[] behind = [.. system.Nodes.Where(node => !(roles.Of(node.Machine)?.Offset >= goal.Offset))];
                complaint = behind.Length > 0 ? $"{string.Join(' ', behind.Select(n => n.Machine))} behind" : null;
            }

            well = complaint is null ? well + 1 : 0;
            if (well == GlancesInARow)
            {
                return MasterBy(roles);
            }

            if (!helped && Stopwatch.GetElapsedTime(start) >= OperatorComes)
            {
                helped = true;
                if (await HelpAsync(ct) is { } help)
                {
                    OperatorCalls++;
                    Print($"   an operator is needed after {Seconds(OperatorComes)}: {help}");
                }
            }

            await Task.Delay(Glance, ct);
        }

        Print($"   NOT WHOLE after {Seconds(WholeLimit)}: {complaint}");
        return null;
    }

    private async Task<string?> HelpAsync(CancellationToken ct)
    {
        try
        {
            return await system.HelpAsync(ct);
        }
        catch (Exception e) when (e is ZooKeeperException or FormatException)
        {
            return null;
        }
    }

    private async Task<string?> ComplaintAsync(Roles roles, DateTime since, CancellationToken ct)
    {
        bool written = _ledger.AllWriteAgain(since);
        RedisNode[] silent = [.. system.Nodes.Where(node => roles.Of(node.Machine) is null)];
        if (silent.Length > 0)
        {
            return $"{string.Join(' ', silent.Select(n => n.Machine))} not answering";
        }

        if (MasterBy(roles) is not { } master)
        {
            return $"masters: {string.Join(' ', system.Nodes.Where(n => roles.Of(n.Machine) is { Follows: null }).Select(n => n.Machine.Name))}";
        }

        RedisNode[] astray = [.. system.Nodes.Where(n
                => n != master && roles.Of(n.Machine) is var role && (role?.Follows != master.Address.ToString() || !role.LinkUp))];
        if (astray.Length > 0)
        {
            return $"{string.Join(' ', astray.Select(n => n.Machine))} not following {master.Machine}";
        }

        try
        {
            using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
            deadline.CancelAfter(TimeSpan.FromSeconds(1));
            return await system.ComplaintAsync(master, deadline.Token) ?? (written ? null : "a client is not writing");
        }
        catch (Exception e) when (e is ZooKeeperException or IOException or SocketException or FormatException or RedisErrorException
            || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return $"the system cannot be asked: {e.Message}";
        }
    }

    private async Task<IReadOnlyList<string>?> NotedAsync(DateTime since, CancellationToken ct)
    {
        try
        {
            return await system.NotedLossesAsync(since, ct);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return [];
        }
    }

    private void Print(string text)
        => Console.WriteLine(
            string.Create(CultureInfo.InvariantCulture,
                $"{Stopwatch.GetElapsedTime(_start).TotalSeconds,7:0.0} s  {WallClock.Now:HH:mm:ss.fff}  {text}"));

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + " s";
}
