using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.ZooKeeper;
using Serilog.Events;

namespace RedisFailover.Monitor.Options;

/// <summary>A setting that is wrong: one line that names it, what was given and what is allowed.</summary>
internal sealed class OptionException(string message) : Exception(message);

/// <summary>A setting as it was given, and where.</summary>
internal sealed record GivenOption(string Name, string Value, string Source)
{
    internal OptionException Wrong(string allowed) => new($"--{Name} (from {Source}): '{Value}' is not allowed; allowed: {allowed}");
}

/// <summary>Turns the settings that were given, by whatever source, into validated options.</summary>
internal sealed class OptionBinder(IReadOnlyDictionary<string, GivenOption> given)
{
    private const long MaxBytes = 1L << 40;

    internal MonitorOptions Bind()
    {
        ImmutableArray<NodeAddress> nodes = Required("nodes", Nodes, "the Redis nodes, as in --nodes 10.0.0.1:6379,10.0.0.2:6379");
        var options = new MonitorOptions
        {
            Nodes = nodes,
            ZooKeeper = Required("zkservers", ZooKeeper, "the ZooKeeper servers, as in --zkservers zk1:2181,zk2:2181,zk3:2181"),
            Id = Optional("id", MonitorId, string.Create(CultureInfo.InvariantCulture, $"{Environment.MachineName}-{Environment.ProcessId}")),
        };
        return Consistent(options with
        {
            ZnodePath = Optional("znode-path", ZnodePath, options.ZnodePath),
            Username = Optional("username", g => g.Value, options.Username),
            Password = Password(),
            MaxFailures = Optional("max-failures", g => Whole(g, 1, 100), options.MaxFailures),
            ProbeTimeout = Optional("probe-timeout", g => Millis(g, 10, 60_000), options.ProbeTimeout),
            SessionTimeout = Optional("session-timeout", g => Millis(g, 100, 600_000), options.SessionTimeout),
            NodeStrategy = Optional("node-strategy", Choice<NodeStrategy>, options.NodeStrategy),
            FailoverStrategy = Optional("failover-strategy", Choice<FailoverStrategy>, options.FailoverStrategy),
            RequiredMonitors = Optional("required-monitors", g => Whole(g, 1, 100), options.RequiredMonitors),
            SwitchoverTimeout = Optional("switchover-timeout", g => Millis(g, 100, 60_000), options.SwitchoverTimeout),
            WriteSafety = Optional("write-safety", Choice<WriteSafetyMode>, options.WriteSafety),
            WriteQuorum = Optional("write-quorum", g => Whole(g, 1, 100), options.WriteQuorum),
            WriteMaxLag = Optional("write-max-lag", g => Whole(g, 1, 600), options.WriteMaxLag),
            LoadingTimeout = Optional("loading-timeout", g => Millis(g, 0, 3_600_000), options.LoadingTimeout),
            MisconfTimeout = Optional("misconf-timeout", g => Millis(g, 0, 3_600_000), options.MisconfTimeout),
            StableTime = Optional("stable-time", g => Millis(g, 0, 3_600_000), options.StableTime),
            FailoverInterval = Optional("failover-interval", g => Millis(g, 0, 3_600_000), options.FailoverInterval),
            MaxLag = Optional("max-lag", Bytes, options.MaxLag),
            NeverPromote = Optional("never-promote", g => Some(g, nodes), options.NeverPromote),
            Http = Optional<Uri?>("http", Http, null),
            LogFormat = Optional("log-format", Choice<LogFormat>, options.LogFormat),
            LogLevel = Optional("log-level", Choice<LogEventLevel>, options.LogLevel),
        });
    }

    /// <summary>
    /// More replicas than there are can hold no write. A replica that hangs is let go when its silence is judged: with a shorter bound the master
    /// would refuse writes before that, at every hang of the last replica in step.
    /// </summary>
    private MonitorOptions Consistent(MonitorOptions options)
    {
        if (options.WriteSafety == WriteSafetyMode.Replicated && options.WriteQuorum > Math.Max(1, options.Nodes.Length - 1))
        {
            throw (given.GetValueOrDefault("write-quorum") ?? new GivenOption("write-quorum", Text(options.WriteQuorum), "the default")).Wrong(
                $"1 to {Math.Max(1, options.Nodes.Length - 1)} with {options.Nodes.Length} nodes: so many replicas can hold a write");
        }

        TimeSpan silence = options.Policy.SilenceLimit;
        return options.WriteSafety == WriteSafetyMode.None || TimeSpan.FromSeconds(options.WriteMaxLag) > silence
            ? options
            : throw (given.GetValueOrDefault("write-max-lag") ?? new GivenOption("write-max-lag", Text(options.WriteMaxLag), "the default")).Wrong(
                $"seconds, more than max-failures x probe-timeout ({options.MaxFailures} x {options.ProbeTimeout.TotalMilliseconds:0} ms) with write-safety replicated");
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private T Required<T>(string name, Func<GivenOption, T> read, string what)
        => given.TryGetValue(name, out GivenOption? option) ? read(option) : throw new OptionException($"--{name} is missing: {what}");

    private T Optional<T>(string name, Func<GivenOption, T> read, T absent)
        => given.TryGetValue(name, out GivenOption? option) ? read(option) : absent;

    private static ImmutableArray<NodeAddress> Nodes(GivenOption option)
    {
        ImmutableArray<NodeAddress>.Builder nodes = ImmutableArray.CreateBuilder<NodeAddress>();
        foreach (string text in option.Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            NodeAddress node = NodeAddress.TryParse(text, out NodeAddress? address)
                ? address
                : throw (option with { Value = text }).Wrong("host:port, 10.0.0.1:6379 or [::1]:6379, separated by commas");
            if (nodes.Contains(node))
            {
                throw (option with { Value = text }).Wrong("each node once");
            }

            nodes.Add(node);
        }

        return nodes.Count > 0 ? nodes.ToImmutable() : throw option.Wrong("at least one host:port");
    }

    private static ImmutableArray<NodeAddress> Some(GivenOption option, ImmutableArray<NodeAddress> nodes)
    {
        ImmutableArray<NodeAddress> some = Nodes(option);
        return some.FirstOrDefault(n => !nodes.Contains(n)) is { } stranger
            ? throw (option with { Value = stranger.ToString() }).Wrong($"nodes of --nodes: {string.Join(',', nodes)}")
            : some;
    }

    private static ZooKeeperConnectionString ZooKeeper(GivenOption option)
    {
        try
        {
            var servers = ZooKeeperConnectionString.Parse(option.Value);
            return servers.Chroot.Length == 0 ? servers : throw option.Wrong("host[:port], separated by commas; the path goes into --znode-path");
        }
        catch (FormatException e)
        {
            throw new OptionException($"--{option.Name} (from {option.Source}): {e.Message}");
        }
    }

    private static string ZnodePath(GivenOption option)
        => option.Value.Length > 1 && option.Value[0] == '/' && option.Value[^1] != '/' && !option.Value.Contains("//", StringComparison.Ordinal)
            && option.Value.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '_' or '-' or '.')
            && !option.Value.Split('/').Any(part => part is "." or "..")
                ? option.Value
                : throw option.Wrong("an absolute path such as /redis_failover, of letters, digits and _ - . /");

    private static string MonitorId(GivenOption option)
        => option.Value.Length is > 0 and <= 100 && option.Value.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.')
            && option.Value.Trim('.').Length > 0
                ? option.Value
                : throw option.Wrong("1 to 100 letters, digits and _ - .");

    private string? Password()
    {
        if (given.TryGetValue("password-file", out GivenOption? file))
        {
            try
            {
                return File.ReadAllText(file.Value).TrimEnd('\r', '\n') is { Length: > 0 } password
                    ? password
                    : throw file.Wrong("a file that holds the password; this one is empty");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw file.Wrong($"a readable file ({e.Message})");
            }
        }

        return given.TryGetValue("password", out GivenOption? option) && option.Value.Length > 0 ? option.Value : null;
    }

    private static Uri Http(GivenOption option)
        => Uri.TryCreate(option.Value, UriKind.Absolute, out Uri? uri) && uri.Scheme == "http" && uri.PathAndQuery == "/"
            ? uri
            : throw option.Wrong("http://address:port, such as http://127.0.0.1:9400");

    private static int Whole(GivenOption option, int min, int max)
        => int.TryParse(option.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= min && number <= max
            ? number
            : throw option.Wrong(string.Create(CultureInfo.InvariantCulture, $"a whole number from {min} to {max}"));

    private static long Bytes(GivenOption option)
        => long.TryParse(option.Value, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= MaxBytes
            ? number
            : throw option.Wrong(string.Create(CultureInfo.InvariantCulture, $"bytes, a whole number from 0 to {MaxBytes}"));

    private static TimeSpan Millis(GivenOption option, int min, int max)
        => int.TryParse(option.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= min && number <= max
            ? TimeSpan.FromMilliseconds(number)
            : throw option.Wrong(string.Create(CultureInfo.InvariantCulture, $"milliseconds, a whole number from {min} to {max}"));

    private static T Choice<T>(GivenOption option)
        where T : struct, Enum
        => Enum.GetNames<T>().Contains(option.Value, StringComparer.OrdinalIgnoreCase)
            ? Enum.Parse<T>(option.Value, ignoreCase: true)
            : throw option.Wrong(string.Join(", ", Enum.GetNames<T>().Select(n => n.ToLowerInvariant())));
}
