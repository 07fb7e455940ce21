using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class FailoverOptionsTests
{
    [Test]
    public void The_defaults_are_valid() => Assert.That(() => new FailoverOptions().Validate(), Throws.Nothing);

    [Test]
    public void A_wrong_value_is_named_with_what_was_given_and_what_is_allowed()
        => Assert.That(
            () => new FailoverOptions { WriteWait = TimeSpan.FromSeconds(-1) }.Validate(),
            Throws.ArgumentException.With.Message.EqualTo("FailoverOptions.WriteWait is -00:00:01; allowed: 00:00:00 to 00:10:00."));

    [Test]
    public void Each_setting_has_its_range() => Assert.Multiple(() =>
    {
        Wrong(new FailoverOptions { ConnectTimeout = TimeSpan.FromMilliseconds(99) }, "ConnectTimeout");
        Wrong(new FailoverOptions { OperationTimeout = TimeSpan.FromMilliseconds(49) }, "OperationTimeout");
        Wrong(new FailoverOptions { SessionTimeout = TimeSpan.FromHours(1) }, "SessionTimeout");
        Wrong(new FailoverOptions { ReadFrom = (ReadFrom)9 }, "ReadFrom");
        Wrong(new FailoverOptions { WhenDisconnected = (WhenDisconnected)9 }, "WhenDisconnected");
        Wrong(new FailoverOptions { MaxReplicaLag = TimeSpan.FromMilliseconds(19) }, "MaxReplicaLag");
        Wrong(new FailoverOptions { TopologyCacheFile = "" }, "TopologyCacheFile");
        Wrong(new FailoverOptions { TopologyCacheFile = "a\0b" }, "TopologyCacheFile");
        Wrong(new FailoverOptions { TopologyCacheFile = "/dev/null" }, "TopologyCacheFile");
        Wrong(new FailoverOptions { TopologyCacheFile = "/tmp" }, "TopologyCacheFile");
    });

    [Test]
    public void Each_wrong_setting_has_its_line()
        => Assert.That(
            () => new FailoverOptions { WriteWait = TimeSpan.FromSeconds(-1), ReadFrom = (ReadFrom)9 }.Validate(),
            Throws.ArgumentException.With.Message.EqualTo(
                string.Join(
                    Environment.NewLine,
                    "FailoverOptions.WriteWait is -00:00:01; allowed: 00:00:00 to 00:10:00.",
                    "FailoverOptions.ReadFrom is 9; allowed: PreferReplica, Replica, Master, Nearest.")));

    [Test]
    public void The_password_is_not_part_of_the_text()
        => Assert.That(new FailoverOptions { Password = "secret" }.ToString(), Does.Not.Contain("secret"));

    private static void Wrong(FailoverOptions options, string name)
        => Assert.That(() => options.Validate(), Throws.ArgumentException.With.Message.StartsWith($"FailoverOptions.{name} is "));
}
