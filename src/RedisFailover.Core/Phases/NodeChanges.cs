using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Nodes that an operator adds, removes or tags: all of it, or nothing and why.</summary>
internal static class NodeChanges
{
    internal static ConfigRequests.Outcome Apply(ChangeNodes change, string by, ClusterConfig config, Assessment a)
    {
        FailoverPolicy policy = a.Policy;
        // The first change takes over what the monitors' files say.
        ImmutableArray<ConfiguredNode> before = config.Nodes.IsEmpty
            ? [.. policy.Nodes.Select(n => new ConfiguredNode(n) { NeverPromote = policy.NeverPromote.Contains(n) })]
            : config.Nodes;
        ImmutableArray<ConfiguredNode> after =
            [.. before.Where(n => !change.Remove.Contains(n.Node)), .. change.Add.Distinct().Select(n => new ConfiguredNode(n))];
        if (Objection(change, before, after, a) is { } objection)
        {
            return ConfigRequests.Outcome.Refused(objection);
        }

        after = [.. after.Select(n => change.Tags.TryGetValue(n.Node, out NodeTags? tags) ? tags.On(n) : n)];
        return after.SequenceEqual(before)
            ? ConfigRequests.Outcome.Nothing("the nodes and their tags are so already")
            : new ConfigRequests.Outcome(config with { Nodes = after, Removed = Removed(change, config) }, HistoryKind.Nodes,
                Describe(change, by, after, a.View));
    }

    /// <summary>Why it cannot be done; null where it can.</summary>
    private static string? Objection(
        ChangeNodes change, ImmutableArray<ConfiguredNode> before, ImmutableArray<ConfiguredNode> after, Assessment a)
        => change.Remove.Select(n => Unremovable(n, before, a)).FirstOrDefault(why => why is not null) is { } kept ? kept
            : change.Add.FirstOrDefault(n => before.Any(b => b.Node == n)) is { } there ? $"{there} is one of the nodes already"
            : after.IsEmpty ? "one node at least has to stay"
            : change.Tags.Keys.FirstOrDefault(n => after.All(x => x.Node != n)) is { } stranger
                ? $"{stranger} is not one of the nodes: {string.Join(", ", after.Select(n => n.Node))}"
            : a.Policy.WriteSafety == WriteSafetyMode.Replicated && after.Length < before.Length
                && a.Policy.WriteQuorum > after.Length - 1
                ? $"write-quorum {a.Policy.WriteQuorum} needs {a.Policy.WriteQuorum + 1} nodes, and {after.Length} would be left"
            : null;

    private static ImmutableArray<NodeAddress> Removed(ChangeNodes change, ClusterConfig config)
        => [.. config.Removed.Concat(change.Remove).Except(change.Add).TakeLast(ClusterConfig.MaxRemoved)];

    private static string? Unremovable(NodeAddress node, ImmutableArray<ConfiguredNode> nodes, Assessment a)
        => nodes.All(n => n.Node != node) ? $"{node} is not one of the nodes: {string.Join(", ", nodes.Select(n => n.Node))}"
            : node == a.Topology.Master
                ? $"{node} is the master: let another node take over first (redis-failover switchover), then remove it"
            : a.Topology is { IsChangingMaster: true, Waiting: null }
                ? $"a change of master is under way ({a.Topology.Reason}): ask again when it is done"
            : a.Topology is { WriteQuorum: { } quorum, Waiting: { } waiting } && waiting.Code == ProblemCatalogue.WriteQuorumUnmet.Name
                && quorum.Replicas.Contains(node)
                ? $"{node} may hold a write that WAIT acknowledged, and the failover waits for it: choose the master first "
                    + "(redis-failover failover HOST:PORT --force), then remove it"
            // WAIT would count what nobody watches any more.
            : a.Policy.WriteSafety == WriteSafetyMode.Replicated && a.View.Node(node) is { IsReplica: true, Info: { } info }
                && info.MasterAddress == a.Topology.Master
                ? $"{node} still copies from {a.Topology.Master}, and with write-safety its word counts: stop it, or let it follow nobody "
                    + $"(REPLICAOF NO ONE), then remove it"
            : null;

    private static string Describe(ChangeNodes change, string by, ImmutableArray<ConfiguredNode> after, ClusterView view)
    {
        List<string> parts = [];
        if (!change.Add.IsEmpty)
        {
            parts.Add($"added {string.Join(", ", after.Where(n => change.Add.Contains(n.Node)))}");
        }

        if (!change.Remove.IsEmpty)
        {
            parts.Add($"removed {string.Join(", ", change.Remove)}");
        }

        ImmutableArray<ConfiguredNode> tagged = [.. after.Where(n => change.Tags.ContainsKey(n.Node) && !change.Add.Contains(n.Node))];
        if (!tagged.IsEmpty)
        {
            parts.Add(string.Join(", ", tagged.Select(n => $"{n.Node} is tagged {(n.Tags.Length > 0 ? n.Tags : "with nothing")}")));
        }

        ImmutableArray<NodeAddress> following = [.. change.Remove.Where(n => view.Node(n) is { IsReplica: true, Info.LinkUp: true })];
        string left = following.IsEmpty
            ? "" : $"; nobody watches {string.Join(", ", following)} any more, which goes on copying: stop it, or let it follow nobody "
                + $"(REPLICAOF NO ONE)";
        return $"nodes changed, as {by} asked: {string.Join("; ", parts)}{left}";
    }
}
