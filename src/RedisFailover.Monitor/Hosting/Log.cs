using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>Everything that the monitor says, in one place. Transitions only: what stays as it is, is not repeated.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "monitor {Id} {Version} starts: {Options}")]
    internal static partial void Starts(ILogger logger, string id, string version, string options);

    [LoggerMessage(2, LogLevel.Warning, "the password was given on the command line, where the process list shows it; use --password-file or REDIS_FAILOVER_PASSWORD")]
    internal static partial void PasswordInProcessList(ILogger logger);

    [LoggerMessage(3, LogLevel.Information, "monitor {Id} stops")]
    internal static partial void Stops(ILogger logger, string id);

    [LoggerMessage(4, LogLevel.Information, "HTTP is answered at {Address}")]
    internal static partial void HttpAnswered(ILogger logger, string address);

    [LoggerMessage(5, LogLevel.Warning, "{Variable} is set, which is for tests alone: this monitor does not survive '{FaultPoint}'")]
    internal static partial void FaultPointIsSet(ILogger logger, string variable, FaultPoint faultPoint);

    [LoggerMessage(11, LogLevel.Warning, "ZooKeeper is not reachable: no failover until it is; clients go on with what they know")]
    internal static partial void ZooKeeperGone(ILogger logger);

    [LoggerMessage(20, LogLevel.Information, "this monitor leads (term {Term})")]
    internal static partial void Leads(ILogger logger, int term);

    [LoggerMessage(21, LogLevel.Warning, "this monitor no longer leads (term {Term})")]
    internal static partial void LeadLost(ILogger logger, int term);

    [LoggerMessage(22, LogLevel.Information, "monitor {Id} is here; {Live} monitors are alive")]
    internal static partial void MonitorCame(ILogger logger, string id, int live);

    [LoggerMessage(23, LogLevel.Warning, "monitor {Id} is gone; {Live} monitors are alive")]
    internal static partial void MonitorWent(ILogger logger, string id, int live);

    [LoggerMessage(24, LogLevel.Warning, "this monitor does not stand for election for {Millis:0} ms, or until more than {Nodes} nodes answer it")]
    internal static partial void Abstains(ILogger logger, double millis, int nodes);

    [LoggerMessage(30, LogLevel.Information, "{Node} answers: {Role}, {Keys} keys, offset {Offset}, Redis {Version}")]
    internal static partial void NodeOnline(ILogger logger, NodeAddress node, string role, long keys, long offset, string version);

    [LoggerMessage(31, LogLevel.Warning, "{Node} is unavailable: {Failures} failures in a row since {Millis:0} ms, the last: {Detail}")]
    internal static partial void NodeUnavailable(ILogger logger, NodeAddress node, int failures, double millis, string detail);

    [LoggerMessage(32, LogLevel.Warning, "{Node} fails: {Detail}")]
    internal static partial void NodeFails(ILogger logger, NodeAddress node, string detail);

    [LoggerMessage(33, LogLevel.Error, "{Node} cannot be watched, no failover because of that: {Detail}")]
    internal static partial void NodeMisconfigured(ILogger logger, NodeAddress node, string detail);

    [LoggerMessage(34, LogLevel.Information, "{Node} changed from {Before} to {After}")]
    internal static partial void NodeRoleChanged(ILogger logger, NodeAddress node, string before, string after);

    [LoggerMessage(40, LogLevel.Information, "topology of epoch {Epoch}: {State}, master {Master}, replicas [{Replicas}], unavailable [{Unavailable}], by {By}: {Reason}")]
    internal static partial void TopologyChanged(
        ILogger logger, long epoch, string state, string master, string replicas, string unavailable, string by, string reason);

    [LoggerMessage(41, LogLevel.Error, "the topology znode is not usable: {Fault}")]
    internal static partial void TopologyNotUsable(ILogger logger, string fault);

    [LoggerMessage(42, LogLevel.Information, "an operator asks for a failover: '{Wish}'")]
    internal static partial void OperatorWish(ILogger logger, string wish);

    [LoggerMessage(50, LogLevel.Information, "decided: {Reason}")]
    internal static partial void Decided(ILogger logger, string reason);

    [LoggerMessage(51, LogLevel.Warning, "attention: {Warning}")]
    internal static partial void Attention(ILogger logger, string warning);

    [LoggerMessage(52, LogLevel.Information, "done in {Millis:0.0} ms: {Action}")]
    internal static partial void ActionDone(ILogger logger, string action, double millis);

    [LoggerMessage(53, LogLevel.Warning, "failed: {Action}: {Failure}")]
    internal static partial void ActionFailed(ILogger logger, string action, string failure);

    [LoggerMessage(60, LogLevel.Warning, "the history could not be written ({Entry}): {Failure}")]
    internal static partial void HistoryNotWritten(ILogger logger, string entry, string failure);

    [LoggerMessage(61, LogLevel.Warning, "the history is not readable and begins anew: {Failure}")]
    internal static partial void HistoryNotReadable(ILogger logger, string failure);

    [LoggerMessage(62, LogLevel.Warning, "this monitor's view could not be published: {Failure}")]
    internal static partial void ViewNotPublished(ILogger logger, string failure);

    [LoggerMessage(63, LogLevel.Warning, "the view of monitor {Id} is not readable: {Failure}")]
    internal static partial void ViewNotReadable(ILogger logger, string id, string failure);

    [LoggerMessage(64, LogLevel.Warning, "another monitor has the id {Id}, or had until a moment ago; waiting until it is gone")]
    internal static partial void IdTaken(ILogger logger, string id);
}
