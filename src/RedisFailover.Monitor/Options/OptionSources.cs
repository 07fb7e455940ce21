using System.Collections;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover.Monitor.Options;

/// <summary>
/// The settings by name, and the three places they may come from: the command line wins over the environment, which wins over the
/// file. A name is the same everywhere: <c>--max-failures</c>, <c>REDIS_FAILOVER_MAX_FAILURES</c>, <c>"max-failures"</c>.
/// </summary>
internal static class OptionSources
{
    private const string Prefix = "REDIS_FAILOVER_";

    /// <summary>Variables of that prefix that are not the monitor's settings: where redis-failover finds ZooKeeper, and the fault point.</summary>
    private static readonly string[] Others = [Prefix + "ZK", Hosting.FaultPoint.Variable];

    private static readonly (string Name, string Value, string Description)[] Known =
    [
        ("nodes", "h:p,h:p", "The Redis nodes: master and replicas, in any order. Required."),
        ("zkservers", "h:p,h:p", "The ZooKeeper servers. Required."),
        ("znode-path", "path", "The root of this cluster's znodes. Default /redis_failover."),
        ("password-file", "file", "A file that holds Redis' password."),
        ("password", "password", "Redis' password. Seen by everyone in the process list: prefer --password-file or REDIS_FAILOVER_PASSWORD."),
        ("username", "name", "Redis' ACL user. Default: the default user."),
        ("max-failures", "n", "Failures in a row that make a node unavailable. Default 3."),
        ("probe-timeout", "ms", "The time a node has to answer in; silence is judged after max-failures times this. Default 1000."),
        ("session-timeout", "ms", "ZooKeeper's session time-out: how long a dead leader goes unnoticed. Default 4000."),
        ("node-strategy", "name", "How the monitors' views become a verdict: majority (default), consensus or single."),
        ("failover-strategy", "name", "Among replicas with equally much data: offset (default: by replica-priority, then latency) or latency (the other way round)."),
        ("required-monitors", "n", "With fewer monitors alive nothing is decided. Default 1."),
        ("switchover-timeout", "ms", "How long a manual failover may hold writes before it is undone. Default 2000."),
        ("write-safety", "name", "none (default), or replicated: no failover loses a write that WAIT acknowledged, and a master that is cut off refuses writes."),
        ("write-quorum", "k", "With write-safety replicated: on how many replicas a write is (WAIT k) before it counts as safe. Default 1."),
        ("write-max-lag", "seconds", "With write-safety replicated: after how long a master that is cut off refuses writes. Default 5."),
        ("loading-timeout", "ms", "How long a node may load its data set until it counts as unavailable. Default 5000."),
        ("misconf-timeout", "ms", "How long a master may refuse writes because it cannot save (MISCONF) until it is replaced. Default 15000."),
        ("stable-time", "ms", "Among replicas with equally much data those that have answered for so long come first. Default 30000."),
        ("failover-interval", "ms", "At least so long between two failovers; a master lost earlier is waited for. Default 0: no waiting."),
        ("max-lag", "bytes", "A replica known to miss more of the lost master's stream is not promoted. Default 67108864."),
        ("never-promote", "h:p,h:p", "Nodes of --nodes that are never promoted."),
        ("http", "url", "Answer /health there, such as http://127.0.0.1:9400. Default: no HTTP."),
        ("log-format", "text|json", "Lines for people, or one JSON object a line. Default text."),
        ("log-level", "level", "verbose, debug, information (default), warning, error or fatal."),
        ("id", "name", "This monitor's name in znodes and logs. Default: host name and process id."),
        ("config", "file.json", "A JSON file with the same names as keys; comments are allowed."),
    ];

    /// <summary>Reads all three; null when the command line asked for help or the version, which has been printed then.</summary>
    /// <exception cref="OptionException">A setting is unknown or wrong.</exception>
    internal static MonitorOptions? Read(string[] arguments, IDictionary environment, out bool passwordInProcessList)
    {
        passwordInProcessList = false;
        var root = new RootCommand("Watches Redis nodes, elects a leader through ZooKeeper and replaces a master that is lost.");
        List<Option<string>> options = [];
        foreach ((string name, string value, string description) in Known)
        {
            var option = new Option<string>("--" + name) { Description = description, HelpName = value };
            options.Add(option);
            root.Options.Add(option);
        }

        bool run = false;
        root.SetAction(_ => run = true);
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            throw new OptionException(parsed.Errors[0].Message + " See --help");
        }

        parsed.Invoke();
        if (!run)
        {
            return null;
        }

        var given = new Dictionary<string, GivenOption>(StringComparer.Ordinal);
        foreach (Option<string> option in options)
        {
            if (parsed.GetValue(option) is { } value)
            {
                Set(given, option.Name[2..], value, "the command line");
            }
        }

        passwordInProcessList = given.ContainsKey("password");
        RefuseUnknown(environment);
        foreach ((string name, _, _) in Known)
        {
            string variable = Variable(name);
            if (!given.ContainsKey(name) && environment[variable] is string { Length: > 0 } value)
            {
                Set(given, name, value, $"the environment, {variable}");
            }
        }

        if (given.TryGetValue("config", out GivenOption? config))
        {
            foreach (GivenOption option in File(config))
            {
                if (!given.ContainsKey(option.Name))
                {
                    Set(given, option.Name, option.Value, option.Source);
                }
            }
        }

        return new OptionBinder(given).Bind();
    }

    /// <summary>A setting that is misspelt in the environment would be a default that nobody wanted.</summary>
    private static void RefuseUnknown(IDictionary environment)
    {
        string? unknown = environment.Keys.OfType<string>()
            .Where(v => v.StartsWith(Prefix, StringComparison.Ordinal) && !Others.Contains(v) && !Known.Any(k => Variable(k.Name) == v))
            .Order(StringComparer.Ordinal).FirstOrDefault();
        if (unknown is not null)
        {
            throw new OptionException($"{unknown} in the environment is no setting; allowed: {string.Join(", ", Known.Select(k => Variable(k.Name)))}");
        }
    }

    private static string Variable(string name) => Prefix + name.ToUpperInvariant().Replace('-', '_');

    private static void Set(Dictionary<string, GivenOption> given, string name, string value, string source)
    {
        // A password from a stronger source beats a password file from a weaker one.
        if ((name == "password" && given.ContainsKey("password-file")) || (name == "password-file" && given.ContainsKey("password")))
        {
            return;
        }

        given[name] = new GivenOption(name, value, source);
    }

    private static List<GivenOption> File(GivenOption config)
    {
        try
        {
            using FileStream stream = System.IO.File.OpenRead(config.Value);
            using JsonDocument document = JsonDocument.Parse(
                stream, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw config.Wrong("a file that holds a JSON object");
            }

            List<GivenOption> options = [];
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                // A file that names a file would have no end.
                IEnumerable<string> allowed = Known.Select(k => k.Name).Where(k => k != "config");
                string name = allowed.FirstOrDefault(k => Bare(k) == Bare(property.Name))
                    ?? throw new OptionException($"'{property.Name}' in {config.Value} is no setting; allowed: {string.Join(", ", allowed)}");
                options.Add(new GivenOption(name, Text(property, config), $"{config.Value}, \"{property.Name}\""));
            }

            return options;
        }
        catch (JsonException e)
        {
            throw config.Wrong($"a JSON file ({e.Message})");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw config.Wrong($"a readable file ({e.Message})");
        }
    }

    /// <summary>maxFailures, max_failures and max-failures are one name.</summary>
    private static string Bare(string name) => name.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();

    private static string Text(JsonProperty property, GivenOption config) => property.Value.ValueKind switch
    {
        JsonValueKind.String => property.Value.GetString()!,
        JsonValueKind.Number => property.Value.GetRawText(),
        JsonValueKind.Array => string.Join(',', property.Value.EnumerateArray().Select(e => e.ValueKind == JsonValueKind.String ? e.GetString() : e.GetRawText())),
        _ => throw new OptionException(string.Create(
            CultureInfo.InvariantCulture, $"'{property.Name}' in {config.Value} is {property.Value.GetRawText()}; allowed: a string, a number or a list")),
    };
}
