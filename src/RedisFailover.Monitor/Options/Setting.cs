using System.Text.Json.Nodes;

namespace RedisFailover.Monitor.Options;

/// <summary>For whom a setting holds.</summary>
internal enum Scope
{
    /// <summary>For this monitor alone: its name, its log, its credentials.</summary>
    Monitor,

    /// <summary>For the whole cluster: all monitors should have the same.</summary>
    Cluster,
}

/// <summary>A setting that is wrong: one line that names it, what was given and what is allowed.</summary>
internal sealed class OptionException(string message) : Exception(message)
{
    /// <summary>Whether a file that a setting names is at fault: that may be there, or be whole, a moment later.</summary>
    internal bool IsOfFile { get; init; }
}

/// <summary>A setting as it was given, and where.</summary>
internal sealed record GivenOption(string Name, string Value, string Source)
{
    internal OptionException Wrong(string allowed)
        => new($"--{Name} (from {Source}): '{OptionSources.Shortened(Value)}' is not allowed; allowed: {allowed}");

    /// <summary>The setting is as it may be, the file that it names is not.</summary>
    internal OptionException Unusable(string why)
        => new($"--{Name} (from {Source}): the file '{OptionSources.Shortened(Value)}' cannot be used: {why}") { IsOfFile = true };
}

/// <summary>
/// One row of <see cref="Settings"/>: everything that is known of a setting. Options, environment, files, help, schema and documents all
/// come from here.
/// </summary>
internal sealed record Setting
{
    private const string Prefix = "REDIS_FAILOVER_";

    /// <summary>
    /// Whether it can be changed for all monitors while they run (<c>R/config</c>). Nodes and sessions have ways of their own.
    /// </summary>
    internal bool IsLive => ClusterSettings.Find(Name) is not null;

    /// <summary>Whether it may differ between the clusters of one process, which share their session and heartbeat.</summary>
    internal bool IsOfOneCluster
        => Scope == Scope.Cluster ? Name is not ("session-timeout" or "lease")
            : Name is "znode-path" or "password" or "password-file" or "username" || Name == "tls"
                || Name.StartsWith("tls-", StringComparison.Ordinal);

    /// <summary>In lower case with hyphens, as on the command line: <c>max-failures</c>.</summary>
    internal required string Name { get; init; }

    /// <summary>For whom it holds.</summary>
    internal required Scope Scope { get; init; }

    /// <summary>What stands for its value in the help: <c>time</c>, <c>n</c>.</summary>
    internal required string ValueName { get; init; }

    /// <summary>What it does, in one or two sentences.</summary>
    internal required string Description { get; init; }

    /// <summary>What may be given, as it is told to who gave something else.</summary>
    internal required string Allowed { get; init; }

    /// <summary>The value when none is given, as one would give it; null: none, or one that <see cref="DefaultText"/> explains.</summary>
    internal string? Default { get; init; }

    /// <summary>What stands in documents and help as the default.</summary>
    internal string DefaultText { get => field ?? Default ?? "none"; init; }

    /// <summary>The JSON schema of its value in a file, without description and default.</summary>
    internal required Func<JsonObject> Schema { get; init; }

    /// <summary>Returns the options with the value in them, or throws <see cref="OptionException"/>.</summary>
    internal required Func<MonitorOptions, GivenOption, MonitorOptions> Apply { get; init; }

    /// <summary>The environment variable that sets it.</summary>
    internal string Variable => Prefix + Name.ToUpperInvariant().Replace('-', '_');

    /// <summary>maxFailures, max_failures and max-failures are one name.</summary>
    internal bool IsNamed(string name) => Bare(name) == Bare(Name);

    private static string Bare(string name)
        => name.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();
}
