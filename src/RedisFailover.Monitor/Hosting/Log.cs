using System.Globalization;
using Microsoft.Extensions.Logging;

namespace RedisFailover.Monitor.Hosting;

/// <summary>Everything that the monitor says, in one place. Transitions only: what stays as it is, is not repeated.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "monitor {Id} {Version} starts: {Options}")]
    internal static partial void Starts(ILogger logger, string id, string version, string options);

    [LoggerMessage(96, LogLevel.Information, "by its own settings: {Rules}")]
    internal static partial void GoesBy(ILogger logger, string rules);

    [LoggerMessage(2, LogLevel.Warning,
        "the password was given on the command line, where the process list shows it; use --password-file or REDIS_FAILOVER_PASSWORD")]
    internal static partial void PasswordInProcessList(ILogger logger);

    [LoggerMessage(3, LogLevel.Information, "monitor {Id} stops")]
    internal static partial void Stops(ILogger logger, string id);

    // A warning, so that it is seen whatever the new level is.
    [LoggerMessage(17, LogLevel.Warning,
        "SIGHUP: the log level is {Level} now, and a list of clusters in the file was read again; all else needs a restart")]
    internal static partial void Reloaded(ILogger logger, string level);

    [LoggerMessage(18, LogLevel.Error, "SIGHUP: the settings are wrong now, and nothing was changed: {Failure}")]
    internal static partial void NotReloaded(ILogger logger, string failure);

    [LoggerMessage(4, LogLevel.Information, "HTTP is answered at {Address}")]
    internal static partial void HttpAnswered(ILogger logger, string address);

    [LoggerMessage(5, LogLevel.Warning,
        "{Variable} is set, which is for tests only: this monitor will kill or freeze itself at '{FaultPoint}'")]
    internal static partial void FaultPointIsSet(ILogger logger, string variable, FaultPoint faultPoint);

    [LoggerMessage(6, LogLevel.Warning,
        "this monitor was held up for {Seconds:0.0} s (frozen, starved, or its machine slept): what it saw before is out of date")]
    internal static partial void HeldUp(ILogger logger, double seconds);

    [LoggerMessage(7, LogLevel.Warning,
        "the wall clock went forward by {Seconds:0.0} s more than the time that has passed: it was set, or the machine slept")]
    internal static partial void ClockJumped(ILogger logger, double seconds);

    [LoggerMessage(8, LogLevel.Critical,
        "monitor {Id} cannot go on and ends with exit code 1, so that another one leads: {Kind}: {Failure}")]
    internal static partial void Failed(ILogger logger, string id, string kind, string failure, Exception? defect);

    [LoggerMessage(90, LogLevel.Information, "cluster {Name} is monitored from now on, its znodes below {Path}: {Nodes}")]
    internal static partial void ClusterBegins(ILogger logger, string name, string path, string nodes);

    [LoggerMessage(91, LogLevel.Warning,
        "cluster {Name} is no longer monitored here: it was removed from the configuration; its nodes and znodes are unchanged")]
    internal static partial void ClusterEnds(ILogger logger, string name);

    [LoggerMessage(92, LogLevel.Error,
        "cluster {Name} failed here and begins anew in {Seconds:0} s; the other clusters go on: {Kind}: {Failure}")]
    internal static partial void ClusterFailed(ILogger logger, string name, string kind, string failure, double seconds, Exception defect);

    [LoggerMessage(93, LogLevel.Error, "cluster {Name} cannot be monitored: {Fault}")]
    internal static partial void ClusterNotUsable(ILogger logger, string name, string fault);

    [LoggerMessage(94, LogLevel.Information,
        "leadership of this cluster goes to monitor {Id}, so that it is spread over the monitors")]
    internal static partial void LeadHandedOver(ILogger logger, string id);

    [LoggerMessage(95, LogLevel.Warning,
        "the configuration of cluster {Name} is not in ZooKeeper any more, which has lost its data: it is written again")]
    internal static partial void ClusterRestored(ILogger logger, string name);

    [LoggerMessage(11, LogLevel.Warning,
        "ZooKeeper cannot be reached: this monitor replaces no master until it can; clients go on with what they know")]
    internal static partial void ZooKeeperGone(ILogger logger);

    [LoggerMessage(12, LogLevel.Information, "ZooKeeper can be reached again, after {Seconds:0.0} s")]
    internal static partial void ZooKeeperBack(ILogger logger, double seconds);

    [LoggerMessage(20, LogLevel.Information, "this monitor leads (term {Term})")]
    internal static partial void Leads(ILogger logger, int term);

    [LoggerMessage(21, LogLevel.Warning, "this monitor no longer leads (term {Term})")]
    internal static partial void LeadLost(ILogger logger, int term);

    [LoggerMessage(22, LogLevel.Information, "monitor {Id} is here; {Live} alive")]
    internal static partial void MonitorCame(ILogger logger, string id, string live);

    [LoggerMessage(23, LogLevel.Warning, "monitor {Id} is gone; {Live} alive")]
    internal static partial void MonitorWent(ILogger logger, string id, string live);

    [LoggerMessage(24, LogLevel.Warning,
        "this monitor gave up leadership; it does not stand for election for {Millis:0} ms, or until it reaches more than {Nodes} nodes")]
    internal static partial void Abstains(ILogger logger, double millis, int nodes);

    [LoggerMessage(30, LogLevel.Information, "{Node} answers: {Role}, {Keys} keys, offset {Offset}, {Server}")]
    internal static partial void NodeOnline(ILogger logger, NodeAddress node, string role, long keys, long offset, string server);

    [LoggerMessage(EventId = 31, Message = "{Node} is unavailable: {Failures} failures in a row within {Millis:0} ms, the last: {Detail}")]
    internal static partial void NodeUnavailable(ILogger logger, LogLevel level, NodeAddress node, int failures, double millis,
        string detail);

    [LoggerMessage(EventId = 35, Message = "{Node} is unavailable: {Detail}, for {Millis:0} ms now")]
    internal static partial void NodeLoadsTooLong(ILogger logger, LogLevel level, NodeAddress node, string detail, double millis);

    [LoggerMessage(32, LogLevel.Debug, "{Node} fails: {Detail}")]
    internal static partial void NodeFails(ILogger logger, NodeAddress node, string detail);

    [LoggerMessage(33, LogLevel.Error,
        "{Node} cannot be asked: {Detail}. Correct the monitors' password, ACL user or certificate, its maxclients, or the address")]
    internal static partial void NodeMisconfigured(ILogger logger, NodeAddress node, string detail);

    [LoggerMessage(38, LogLevel.Error,
        "{Node} is not watched under this name: {Detail}. It is used as {Other}: give all monitors the same list, each node once")]
    internal static partial void NodeHasTwoNames(ILogger logger, NodeAddress node, string detail, NodeAddress other);

    [LoggerMessage(36, LogLevel.Warning, "{Node} is up but serves no clients: {Detail}")]
    internal static partial void NodeServesNobody(ILogger logger, NodeAddress node, string detail);

    [LoggerMessage(EventId = 37, Message = "{Node} lost its link to {Master}")]
    internal static partial void LinkLost(ILogger logger, LogLevel level, NodeAddress node, NodeAddress? master);

    [LoggerMessage(EventId = 38, Message = "{Node} has its link to {Master} again")]
    internal static partial void LinkBack(ILogger logger, LogLevel level, NodeAddress node, NodeAddress? master);

    [LoggerMessage(34, LogLevel.Debug, "{Node} changed from {Before} to {After}")]
    internal static partial void NodeRoleChanged(ILogger logger, NodeAddress node, string before, string after);

    [LoggerMessage(EventId = 40,
        Message =
            "topology of epoch {Epoch}: {State}, master {Master}, by {By}: {Reason}; replicas [{Replicas}], unavailable [{Unavailable}]")]
    internal static partial void TopologyChanged(
        ILogger logger, LogLevel level, long epoch, string state, string master, string by, string reason, string replicas,
            string unavailable);

    [LoggerMessage(41, LogLevel.Error, "cannot use R/nodes, keeping the last known topology: {Fault}")]
    internal static partial void TopologyNotUsable(ILogger logger, string fault);

    [LoggerMessage(EventId = 42, Message = "an operator asks for a switchover to {Wish}")]
    internal static partial void OperatorWish(ILogger logger, LogLevel level, string wish);

    [LoggerMessage(43, LogLevel.Warning,
        "somebody else has written the topology while this monitor leads: version {Version}, epoch {Epoch}, master {Master}, by {By}; "
            + "this monitor goes by it as it stands")]
    internal static partial void ForeignTopology(ILogger logger, int version, long epoch, string master, string by);

    [LoggerMessage(44, LogLevel.Warning, "MASTER LOST, a failover begins (epoch {Epoch}): {Reason}")]
    internal static partial void MasterLost(ILogger logger, long epoch, string reason);

    [LoggerMessage(46, LogLevel.Warning, "FAILOVER NOT STARTED (epoch {Epoch}): {Failure}; whoever leads decides again")]
    internal static partial void FailoverNotBegun(ILogger logger, long epoch, string failure);

    [LoggerMessage(EventId = 45, Message = "{What} (epoch {Epoch}){Change}{Millis}{Loss}{Reason}")]
    private static partial void Changed(ILogger logger, LogLevel level, string what, long epoch, string change, string millis, string loss,
        string reason);

    /// <summary>What was noted in the history, in one line. A warning where somebody may have lost something.</summary>
    internal static void Recorded(ILogger logger, HistoryEntry entry)
    {
        (LogLevel level, string what) = entry.Kind switch
        {
            HistoryKind.Failover => (LogLevel.Warning, "FAILOVER DONE"),
            HistoryKind.Switchover => (entry.BytesBehind > 0 ? LogLevel.Warning : LogLevel.Information, "SWITCHOVER DONE"),
            HistoryKind.Restored => (LogLevel.Warning, "MASTER STAYS"),
            HistoryKind.Restarted => (LogLevel.Warning, "MASTER RESTARTED"),
            HistoryKind.Demoted => (entry.BytesBehind == 0 ? LogLevel.Information : LogLevel.Warning, "DEMOTED"),
            HistoryKind.Overwritten => (LogLevel.Warning, "TOPOLOGY PUT RIGHT"),
            HistoryKind.Renewed => (LogLevel.Warning, "STORE RENEWED"),
            HistoryKind.Refused => (LogLevel.Information, "REQUEST REFUSED"),
            HistoryKind.Paused => (LogLevel.Debug, "PAUSED"),
            HistoryKind.Resumed => (LogLevel.Debug, "RESUMED"),
            HistoryKind.Nodes => (LogLevel.Information, "NODES CHANGED"),
            HistoryKind.Config => (LogLevel.Information, "CONFIGURATION CHANGED"),
            _ => (LogLevel.Information, "MASTER FOUND"),
        };
        if (!logger.IsEnabled(level))
        {
            return;
        }

        // Each step is a property of its own for programs: Steps in the JSON log.
        using IDisposable? steps = entry.Millis.IsEmpty ? null
            : logger.BeginScope(
                new Dictionary<string, object> { ["Steps"] = entry.Millis.ToDictionary(s => s.Key, s => Math.Round(s.Value, 2)) });
        string millis = entry.Millis is [.., { Key: "total" } total]
            ? string.Create(CultureInfo.InvariantCulture, $" in {total.Value:0.0} ms") : "";
        string change = entry.To is null
            || entry.Kind is HistoryKind.Restarted or HistoryKind.Restored or HistoryKind.Overwritten or HistoryKind.Renewed
                or HistoryKind.Demoted ? "" : $": {entry.From?.ToString() ?? "none"} -> {entry.To}";
        // Why stands in the line with which the change began.
        string reason = entry.Kind == HistoryKind.Failover || (entry.Kind == HistoryKind.Switchover && !entry.Millis.IsEmpty)
            ? "" : $": {entry.Reason}";
        string loss = Loss(entry);
        Changed(logger, level, what, entry.Epoch, change, millis, loss, reason);
    }

    private static string Loss(HistoryEntry entry)
        => entry.Kind is not (HistoryKind.Failover or HistoryKind.Switchover or HistoryKind.Restarted) ? "" : entry.BytesBehind switch
        {
            null => entry.Kind == HistoryKind.Restarted ? "; may lack writes (amount unknown)"
                : $"; {entry.From} may have taken writes that {entry.To?.ToString() ?? "nobody else"} never got (amount unknown)",
            0 => "; no loss seen",
            { } bytes => string.Create(CultureInfo.InvariantCulture, $"; possible loss {bytes} bytes"),
        };

    [LoggerMessage(47, LogLevel.Warning, "PAUSED, {Pause}: nothing is promoted, demoted or repointed")]
    internal static partial void Paused(ILogger logger, FailoverPause pause);

    [LoggerMessage(48, LogLevel.Warning, "RESUMED, {Reason}")]
    internal static partial void Resumed(ILogger logger, string reason);

    [LoggerMessage(49, LogLevel.Information, "using version {Version} of the cluster's configuration: {Reason}")]
    internal static partial void ConfigTaken(ILogger logger, int version, string reason);

    [LoggerMessage(54, LogLevel.Error, "cannot use R/config, keeping the previous settings: {Fault}")]
    internal static partial void ConfigNotUsable(ILogger logger, string fault);

    [LoggerMessage(13, LogLevel.Information, "using the new ZooKeeper credentials from {File}")]
    internal static partial void CredentialsChanged(ILogger logger, string file);

    [LoggerMessage(66, LogLevel.Error, "keeping the previous ZooKeeper credentials: a line of {File} is not user:password")]
    internal static partial void CredentialsNotUsable(ILogger logger, string file);

    [LoggerMessage(14, LogLevel.Error, "could not set the access rights of the znodes, trying again: {Failure}")]
    internal static partial void RightsNotSet(ILogger logger, string failure);

    [LoggerMessage(EventId = 50, Message = "decided: {Reason}")]
    internal static partial void Decided(ILogger logger, LogLevel level, string reason);

    // What lasts is a problem, and told as such.
    [LoggerMessage(51, LogLevel.Debug, "attention: {Warning}")]
    internal static partial void Attention(ILogger logger, string warning);

    [LoggerMessage(52, LogLevel.Debug, "done in {Millis:0.0} ms: {Action}")]
    internal static partial void ActionDone(ILogger logger, string action, double millis);

    [LoggerMessage(53, LogLevel.Warning, "failed: {Action}: {Failure}")]
    internal static partial void ActionFailed(ILogger logger, string action, string failure);

    [LoggerMessage(55, LogLevel.Error, "a defect while carrying out: {Action}")]
    internal static partial void Defect(ILogger logger, string action, Exception defect);

    [LoggerMessage(EventId = 70, Message = "PROBLEM {Code}: {Message}")]
    internal static partial void ProblemBegins(ILogger logger, LogLevel level, string code, string message);

    [LoggerMessage(71, LogLevel.Information, "PROBLEM OVER {Code} [{Subjects}] after {Seconds:0.0} s")]
    internal static partial void ProblemEnds(ILogger logger, string code, string subjects, double seconds);

    [LoggerMessage(72, LogLevel.Warning, "the list of problems could not be written: {Failure}")]
    internal static partial void ProblemsNotWritten(ILogger logger, string failure);

    [LoggerMessage(65, LogLevel.Warning, "monitor {Id} is forgotten: it has been away for {Hours:0.0} h (monitor-absence)")]
    internal static partial void MemberForgotten(ILogger logger, string id, double hours);

    [LoggerMessage(60, LogLevel.Warning, "the history could not be written ({Entry}): {Failure}")]
    internal static partial void HistoryNotWritten(ILogger logger, string entry, string failure);

    [LoggerMessage(61, LogLevel.Warning, "the history is not readable and begins anew: {Failure}")]
    internal static partial void HistoryNotReadable(ILogger logger, string failure);

    [LoggerMessage(62, LogLevel.Warning, "this monitor's view could not be published: {Failure}")]
    internal static partial void ViewNotPublished(ILogger logger, string failure);

    [LoggerMessage(63, LogLevel.Warning, "the view of monitor {Id} is not readable: {Failure}")]
    internal static partial void ViewNotReadable(ILogger logger, string id, string failure);

    [LoggerMessage(64, LogLevel.Warning,
        "monitor id {Id} is in use by another process, or was a moment ago; waiting. Each monitor needs its own --id")]
    internal static partial void IdTaken(ILogger logger, string id);
}
