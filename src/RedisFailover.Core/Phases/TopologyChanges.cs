namespace RedisFailover;

/// <summary>What differs between two topologies of one master, in words.</summary>
internal static class TopologyChanges
{
    internal static string Between(Assessment a, Topology next)
    {
        Topology before = a.Topology;
        string[] parts =
        [
            .. next.Unavailable.Except(before.Unavailable).Select(n => $"{n} {a.Node(n).WhyNotInUse}"),
            .. next.Replicas.Except(before.Replicas).Select(n => $"{n} is available as a replica"),
            .. before.Replicas.Concat(before.Unavailable).Except(next.Replicas).Except(next.Unavailable)
                .Select(n => $"{n} is no longer configured"),
            .. next.Remarks.Except(before.Remarks).Select(r => $"{r.Key}: {r.Value}"),
            .. before.Remarks.Keys.Except(next.Remarks.Keys).Except(next.Replicas).Select(n => $"{n} is no longer left alone"),
            .. next.WriteQuorum == before.WriteQuorum ? [] : new[] { Quorum(next.WriteQuorum) },
        ];
        return parts.Length > 0 ? string.Join("; ", parts) : $"details of master {next.Master} updated (run id, replication id, data)";
    }

    private static string Quorum(WriteQuorum? quorum)
        => quorum is { } safe
            ? $"every write of WAIT {safe.Quorum} is on one at least of any {safe.Needed} of [{string.Join(' ', safe.Replicas)}]"
                + (safe.MinReplicas > 0 ? $"; the master refuses writes with fewer than {safe.MinReplicas} in step" : "")
            : "write safety is switched off";
}
