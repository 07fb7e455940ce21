using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace RedisFailover.Client.Extensions;

/// <summary>
/// Healthy: writes and reads are taken and ZooKeeper is heard of. Unhealthy: neither writes nor reads are taken. Degraded: anything
/// between, such as a failover that is under way (reads go on, writes wait) or ZooKeeper being away. Asks nobody: it looks at what the
/// connection knows, so it may be called as often as one likes.
/// </summary>
internal sealed class RedisFailoverHealthCheck(FailoverConnector connector) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (connector.Connected?.Status is not { } status)
        {
            return Task.FromResult(new HealthCheckResult(HealthStatus.Unhealthy, "Redis is not connected yet"));
        }

        return Task.FromResult(new HealthCheckResult(Judge(status), Describe(status), data: Data(status)));
    }

    internal static HealthStatus Judge(FailoverStatus status) => status switch
    {
        { TakesWrites: false, TakesReads: false } => HealthStatus.Unhealthy,
        { TakesWrites: true, TakesReads: true, FollowsZooKeeper: true, NotFollowed: null } => HealthStatus.Healthy,
        _ => HealthStatus.Degraded,
    };

    internal static string Describe(FailoverStatus status)
    {
        string master = status switch
        {
            { Fenced: true } => "writes are held because ZooKeeper is not heard of",
            { TakesWrites: false, NotFollowed: not null } => "writes wait",
            { TakesWrites: true } => $"the master is {status.Topology.Master}",
            { Topology.Master: { } named } when status.Unreachable.FirstOrDefault(node => node.Node == named) is { } known
                => $"the master {named} does not answer: {known.Reason}",
            { Topology.Master: { } named } => $"the master {named} does not answer",
            _ => $"there is no master: {status.Topology.Reason}",
        };
        string reads = status.TakesReads ? "" : "; no node to read from";
        string following = (status.FollowsZooKeeper ? "" : "; ZooKeeper is not heard of")
            + (status.NotFollowed is { } reason ? $"; the topology in ZooKeeper is of another incarnation and not followed: {reason}" : "");
        string others = string.Concat(status.Unreachable.Where(node => node.Node != status.Topology.Master)
                .Select(node => $"; not connected to {node}"));
        return $"epoch {status.Topology.Epoch}: {master}{reads}{others}{(status.Fenced ? "" : following)}";
    }

    private static Dictionary<string, object> Data(FailoverStatus status) => new()
    {
        ["epoch"] = status.Topology.Epoch,
        ["master"] = status.Topology.Master?.ToString() ?? "",
        ["replicas"] = status.Topology.Replicas.Length,
        ["takesWrites"] = status.TakesWrites,
        ["takesReads"] = status.TakesReads,
        ["followsZooKeeper"] = status.FollowsZooKeeper,
        ["unreachable"] = string.Join("; ", status.Unreachable),
    };
}
