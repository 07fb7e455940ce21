using System.Globalization;

namespace RedisFailover.Monitor.Options;

/// <summary>Turns the settings that were given, by whatever source, into options; the rest is as <see cref="Settings"/> says.</summary>
internal sealed class OptionBinder(IReadOnlyDictionary<string, GivenOption> given)
{
    /// <exception cref="OptionException">A setting is missing, wrong, or does not go with another.</exception>
    internal MonitorOptions Bind()
    {
        if (given.TryGetValue(ClusterBinder.Clusters, out GivenOption? clusters))
        {
            return new ClusterBinder(given, clusters).Bind();
        }

        Require("nodes", "the Redis nodes, as in --nodes 10.0.0.1:6379,10.0.0.2:6379");
        return BindAll(options => DefaultId.Of(options.ZnodePath));
    }

    /// <summary>Whatever was given, nodes or not.</summary>
    /// <param name="id">The monitor's name where none was given.</param>
    /// <exception cref="OptionException">A setting is missing, wrong, or does not go with another.</exception>
    internal MonitorOptions BindAll(Func<MonitorOptions, string> id)
    {
        Require("zkservers", "the ZooKeeper servers, as in --zkservers zk1:2181,zk2:2181,zk3:2181");
        MonitorOptions options = MonitorOptions.Nothing;
        foreach (Setting setting in Settings.All)
        {
            if (Given(setting.Name, setting.Default) is { } value)
            {
                options = setting.Apply(options, value);
            }
        }

        options = options with
        {
            Given = given, Security = SecuritySettings.Bind(given), HttpTls = SecuritySettings.ServerTls(given, options.Http),
        };
        // Half of a short session is less than the lease's default.
        if (!given.ContainsKey("lease") && options.Lease > options.SessionTimeout / 2)
        {
            options = options with { Lease = options.SessionTimeout / 2 };
        }

        options = given.ContainsKey("id") ? options : options with { Id = id(options) };
        Check(options);
        return options;
    }

    private void Check(MonitorOptions options)
    {
        if (options.NeverPromote.FirstOrDefault(node => !options.Nodes.Contains(node)) is { } other)
        {
            throw (given["never-promote"] with { Value = other.ToString() }).Wrong($"nodes of --nodes: {string.Join(',', options.Nodes)}");
        }

        if (options.Lease > options.SessionTimeout / 2)
        {
            throw given["lease"].Wrong($"at most half of session-timeout ({options.SessionTimeout.TotalMilliseconds:0} ms)");
        }

        if (!options.Nodes.IsEmpty)
        {
            CheckWriteSafety(options);
        }
    }

    /// <summary>
    /// More replicas than there are can hold no write. A replica that hangs is let go when its silence is judged: with a shorter bound the
    /// master would refuse writes before that, at every hang of the last replica in step.
    /// </summary>
    private void CheckWriteSafety(MonitorOptions options)
    {
        int replicas = Math.Max(1, options.Nodes.Length - 1);
        if (options.WriteSafety == WriteSafetyMode.None)
        {
            return;
        }

        if (options.WriteQuorum > replicas)
        {
            throw Given("write-quorum", Settings.Find("write-quorum")!.Default)!.Wrong(string.Create(
                CultureInfo.InvariantCulture, $"1 to {replicas} with {options.Nodes.Length} nodes: so many replicas can hold a write"));
        }

        if (TimeSpan.FromSeconds(options.WriteMaxLag) <= options.Policy.SilenceLimit)
        {
            throw Given("write-max-lag", Settings.Find("write-max-lag")!.Default)!.Wrong(
                $"seconds, more than max-failures x probe-timeout ({options.MaxFailures} x {options.ProbeTimeout.TotalMilliseconds:0} ms) "
                + "with write-safety replicated");
        }
    }

    private GivenOption? Given(string name, string? absent)
        => given.GetValueOrDefault(name) ?? (absent is null ? null : new GivenOption(name, absent, "the default"));

    private void Require(string name, string what)
    {
        if (!given.ContainsKey(name))
        {
            throw new OptionException($"--{name} is missing: {what}");
        }
    }
}
