using RedisFailover.Chaos.Systems;

namespace RedisFailover.Chaos;

/// <summary>What was done to whom, and how it is undone.</summary>
internal sealed record Blow(string Target, Func<Task> Heal);

/// <summary>Everything that a fault may strike, with the roles as they are at that moment.</summary>
internal sealed record Targets(ISystem System, RedisNode Master, IReadOnlyList<RedisNode> Replicas, Machine Leader,
    IReadOnlyList<Machine> Others, Random Random)
{
    internal IEnumerable<Machine> All
        => [.. System.Nodes.Select(n => n.Machine), .. System.Monitors, .. System.ZooKeepers, .. System.Clients];

    internal T Any<T>(IReadOnlyList<T> of) => of[Random.Next(of.Count)];
}

/// <summary>A kind of fault.</summary>
/// <param name="Name">As it is printed and given to --only.</param>
/// <param name="Needs">What it cannot do without.</param>
/// <param name="LastsFor">Seconds at least, and at most.</param>
/// <param name="StrikeAsync">Does it.</param>
internal sealed record FaultKind(string Name, Needs Needs, (double Least, double Most) LastsFor,
    Func<Targets, CancellationToken, Task<Blow>> StrikeAsync);

[Flags]
internal enum Needs
{
    Nothing = 0,
    Cuts = 1,
    ZooKeeper = 2,
}

/// <summary>All kinds of faults.</summary>
internal static class Catalogue
{
    private static readonly (double, double) Short = (0.5, 3);
    private static readonly (double, double) Long = (2, 8);

    internal static readonly IReadOnlyList<FaultKind> All =
    [
        Kill("kill-master", t => [t.Master.Machine], Short),
        Kill("restart-master", t => [t.Master.Machine], (0, 0.3)),
        Kill("kill-replica", t => [t.Any(t.Replicas).Machine], Short),
        Kill("kill-leader", t => [t.Leader], Long),
        Kill("kill-monitor", t => [t.Any(t.Others)], Short),
        Kill("kill-zookeeper-follower", t => [t.Any([.. t.System.ZooKeepers.Take(2)])], Short, Needs.ZooKeeper),
        new("kill-zookeeper-leader", Needs.ZooKeeper, Long, async (t, ct) => await KillAsync([await t.System.ZooKeeperLeaderAsync(ct)])),
        Kill("kill-zookeeper-all", t => [.. t.System.ZooKeepers], Short, Needs.ZooKeeper),
        Freeze("freeze-master", t => t.Master.Machine),
        Freeze("freeze-replica", t => t.Any(t.Replicas).Machine),
        Freeze("freeze-leader", t => t.Leader),
        Freeze("freeze-monitor", t => t.Any(t.Others)),
        Cut("cut-leader-master", t => [(t.Leader, t.Master.Machine)]),
        Cut("cut-monitor-master", t => [(t.Any(t.Others), t.Master.Machine)]),
        Cut("cut-monitors-master", t => t.System.Monitors.Select(m => (m, t.Master.Machine))),
        Cut("cut-leader-nodes", t => t.System.Nodes.Select(n => (t.Leader, n.Machine))),
        Cut("cut-replication-one", t => [(t.Master.Machine, t.Any(t.Replicas).Machine)]),
        Cut("cut-replication-all", t => t.Replicas.Select(r => (t.Master.Machine, r.Machine))),
        Cut("cut-master-from-all", t => t.All.Select(m => (t.Master.Machine, m))),
        // The worst one: a client that goes on writing to a master that nobody else sees.
        Cut("cut-master-with-client", t => t.All.Where(m => m != t.System.Clients[0] && m != t.Master.Machine)
            .SelectMany(m => new[] { (t.Master.Machine, m), (t.System.Clients[0], m) })),
        Cut("cut-leader-zookeeper", t => t.System.ZooKeepers.Select(z => (t.Leader, z)), Needs.ZooKeeper),
        Cut("cut-client-zookeeper", t => t.System.ZooKeepers.Select(z => (t.System.Clients[0], z)), Needs.ZooKeeper),
        Cut("cut-client-master", t => [(t.System.Clients[0], t.Master.Machine)]),
        Cut("cut-zookeeper-leader", t => t.All.Select(m => (t.System.ZooKeepers[0], m)), Needs.ZooKeeper),
        new("switchover", Needs.Nothing, (1, 1), async (t, ct) =>
        {
            await t.System.SwitchOverAsync(ct);
            return new Blow(t.Master.Machine.Name, () => Task.CompletedTask);
        }),
    ];

    internal static IEnumerable<string> Names => All.Select(kind => kind.Name);

    private static FaultKind Kill(string name, Func<Targets, Machine[]> whom, (double, double) lasts, Needs needs = Needs.Nothing)
        => new(name, needs, lasts, (t, _) => KillAsync(whom(t)));

    private static async Task<Blow> KillAsync(Machine[] machines)
    {
        await Task.WhenAll(machines.Select(m => m.KillAsync()));
        return new Blow(NamesOf(machines), () => Task.WhenAll(machines.Select(m => m.RestartAsync())));
    }

    private static FaultKind Freeze(string name, Func<Targets, Machine> whom)
        => new(name, Needs.Nothing, Long, (t, _) =>
        {
            Machine machine = whom(t);
            machine.Freeze();
            return Task.FromResult(new Blow(machine.Name, () =>
            {
                machine.Thaw();
                return Task.CompletedTask;
            }));
        });

    private static FaultKind Cut(string name, Func<Targets, IEnumerable<(Machine, Machine)>> pairs, Needs needs = Needs.Nothing)
        => new(name, needs | Needs.Cuts, Long, async (t, _) =>
        {
            (Machine A, Machine B)[] cut = [.. pairs(t)];
            return new Blow(
                $"{NamesOf(cut.Select(p => p.A))} | {NamesOf(cut.Select(p => p.B))}",
                await t.System.Network.CutAsync(cut));
        });

    private static string NamesOf(IEnumerable<Machine> machines) => string.Join(' ', machines.Distinct().Select(m => m.Name));
}
