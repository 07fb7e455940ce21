namespace RedisFailover.Client;

/// <summary>Every message of this library. On transitions only; never a password, a key or a value.</summary>
internal static partial class Log
{
    public const string Category = FailoverDiagnostics.LogCategory;

    [LoggerMessage(1, LogLevel.Information, "Topology, epoch {Epoch}: {State}, master {Master}, {Replicas} replicas. {Reason}")]
    public static partial void TopologyApplied(ILogger logger, long epoch, TopologyState state, string master, int replicas, string reason);

    [LoggerMessage(2, LogLevel.Warning, "A topology of epoch {Epoch} was refused: epoch {Known} is known already")]
    public static partial void LowerEpochRefused(ILogger logger, long epoch, long known);

    [LoggerMessage(3, LogLevel.Error, "The topology in ZooKeeper cannot be read, the last one stays in force: {Problem}")]
    public static partial void TopologyUnreadable(ILogger logger, string problem);

    [LoggerMessage(4, LogLevel.Warning, "The topology znode {Path} does not exist; what was known last stays in force")]
    public static partial void TopologyMissing(ILogger logger, string path);

    [LoggerMessage(5, LogLevel.Information, "Connected to {Node}")]
    public static partial void NodeConnected(ILogger logger, NodeAddress node);

    [LoggerMessage(6, LogLevel.Warning, "Cannot connect to {Node}, will keep trying: {Reason}")]
    public static partial void NodeUnreachable(ILogger logger, NodeAddress node, string reason);

    [LoggerMessage(7, LogLevel.Warning, "Lost the connection to {Node}: {Reason}")]
    public static partial void NodeLost(ILogger logger, NodeAddress node, string reason);

    [LoggerMessage(8, LogLevel.Information, "{Node} is no longer in the topology; its calls in flight were ended")]
    public static partial void NodeLeft(ILogger logger, NodeAddress node);

    [LoggerMessage(9, LogLevel.Error, "A handler of {Event} failed; the others and later ones are not affected")]
    public static partial void HandlerFailed(ILogger logger, string @event, Exception failure);

    [LoggerMessage(10, LogLevel.Warning, "Holding writes: {Why}")]
    public static partial void WritesHeld(ILogger logger, string why);

    [LoggerMessage(11, LogLevel.Warning, "The topology could not be kept in {File}: {Problem}")]
    public static partial void CacheNotWritten(ILogger logger, string file, string problem);

    [LoggerMessage(12, LogLevel.Warning, "No topology from ZooKeeper yet: starting with that of {File}, epoch {Epoch}, master {Master}")]
    public static partial void CacheUsed(ILogger logger, string file, long epoch, string master);

    [LoggerMessage(13, LogLevel.Information, "The request {Path} was not taken back and may still be carried out: {Reason}")]
    public static partial void RequestStays(ILogger logger, string path, string reason);

    [LoggerMessage(14, LogLevel.Warning,
        "Subscriptions to {Channels} channels stood still for {Millis:0} ms, from {From} to {To}: what was published meanwhile was missed")]
    public static partial void SubscriptionsStoodStill(ILogger logger, double millis, int channels, string from, NodeAddress to);

    [LoggerMessage(15, LogLevel.Warning,
        "The topology in ZooKeeper is of another incarnation ({Incarnation}, epoch {Epoch}) and not followed: {Reason}. "
            + "That of epoch {Known}, master {Master}, stays in force; it is tried again")]
    public static partial void IncarnationNotFollowed(
        ILogger logger, string? incarnation, long epoch, string reason, long known, string master);

    [LoggerMessage(16, LogLevel.Warning,
        "ZooKeeper's data were lost or put back: incarnation {Incarnation} is followed from epoch {Epoch} on "
            + "(known before: epoch {Known}); {Master} answers as master of the same data")]
    public static partial void IncarnationFollowed(ILogger logger, string? incarnation, long epoch, long known, NodeAddress master);

    [LoggerMessage(17, LogLevel.Warning,
        "Ignoring the topology of epoch {Epoch}: its incarnation {Incarnation} was replaced earlier")]
    public static partial void FormerIncarnationRefused(ILogger logger, string? incarnation, long epoch);

    [LoggerMessage(18, LogLevel.Information, "Writes go on, which were held as {Why}")]
    public static partial void WritesGoOn(ILogger logger, string why);

    [LoggerMessage(19, LogLevel.Error, "Topologies are followed no more, the last one stays in force: make the connection anew")]
    public static partial void FollowingFailed(ILogger logger, Exception failure);
}
