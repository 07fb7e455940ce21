using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

[TestFixture]
public sealed class ValueTests
{
    [TestCase("zk1", "zk1:2181")]
    [TestCase("zk1:2181,zk2:2182", "zk1:2181,zk2:2182")]
    [TestCase(" zk1 , [::1]:2183/redis_failover", "zk1:2181,[::1]:2183/redis_failover")]
    [TestCase("zk1/", "zk1:2181")]
    [TestCase("zk1/a/b", "zk1:2181/a/b")]
    public void A_connection_string_is_read_and_written(string text, string written)
    {
        ZooKeeperConnectionString parsed = ZooKeeperConnectionString.Parse(text);
        Assert.That(parsed.ToString(), Is.EqualTo(written));
        Assert.That(ZooKeeperConnectionString.Parse(written), Is.EqualTo(parsed));
    }

    [TestCase("")]
    [TestCase("/only/chroot")]
    [TestCase("zk1,,zk2")]
    [TestCase("zk1:0")]
    [TestCase("zk1:99999")]
    [TestCase("zk1:2181/a//b")]
    [TestCase("zk1:2181/a/")]
    [TestCase("::1:2181")]
    public void A_wrong_connection_string_is_refused_in_one_line(string text)
    {
        Assert.That(ZooKeeperConnectionString.TryParse(text, out _), Is.False);
        FormatException? error = Assert.Throws<FormatException>(() => ZooKeeperConnectionString.Parse(text));
        Assert.That(error!.Message, Does.Not.Contain("\n"));
    }

    [TestCase("/")]
    [TestCase("/a")]
    [TestCase("/a/b.c/..d")]
    [TestCase("/a/é")]
    public void A_znode_path_is_accepted(string path) => Assert.That(ZnodePath.Validate(path), Is.EqualTo(path));

    [TestCase("")]
    [TestCase("a")]
    [TestCase("/a/")]
    [TestCase("//")]
    [TestCase("/a//b")]
    [TestCase("/a/./b")]
    [TestCase("/a/..")]
    [TestCase("/a\0b")]
    [TestCase("/a\u001fb")]
    public void A_malformed_znode_path_is_refused(string path)
        => Assert.That(() => ZnodePath.Validate(path), Throws.InstanceOf<ArgumentException>());

    [Test]
    public void A_sequential_create_may_end_in_a_slash()
        => Assert.That(ZnodeOperation.Create("/queue/", default, CreateMode.PersistentSequential).Path, Is.EqualTo("/queue/"));

    [TestCase("", "/a", "/a")]
    [TestCase("/root", "/a", "/root/a")]
    [TestCase("/root", "/", "/root")]
    public void The_chroot_is_put_before_a_path_and_taken_off_again(string chroot, string path, string server)
    {
        Assert.That(ZnodePath.Prefix(chroot, path), Is.EqualTo(server));
        Assert.That(ZnodePath.Strip(chroot, server), Is.EqualTo(path));
        var writer = new JuteWriter();
        writer.Path(chroot, path);
        Assert.That(new JuteReader(writer.Written.Span).String(), Is.EqualTo(server));
    }

    [Test]
    public void The_digest_is_the_one_that_ZooKeeper_documents()
        => Assert.That(ZnodeAcl.Digest("super", "admin").Id, Is.EqualTo("super:xQJmxLMiHGwaqBvst5y6rkB6HQs="));

    [Test]
    public void Credentials_do_not_show_in_text()
    {
        var auth = ZooKeeperAuth.Digest("u", "secret");
        Assert.That($"{auth} {new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse("zk"), Auth = [auth] }}",
            Does.Not.Contain("secret"));
    }

    [Test]
    public void Request_numbers_count_from_1_to_one_below_the_largest_and_begin_again()
    {
        Assert.That(Xid.Next(0), Is.EqualTo(1));
        Assert.That(Xid.Next(int.MaxValue - 2), Is.EqualTo(int.MaxValue - 1));
        Assert.That(Xid.Next(int.MaxValue - 1), Is.EqualTo(1));
    }

    [Test]
    public void The_waiting_before_a_reconnect_grows_and_stays_within_its_bounds()
    {
        var timeout = TimeSpan.FromSeconds(4);
        for (int i = 0; i < 200; i++)
        {
            Assert.That(Dialer.Backoff(0, timeout), Is.InRange(TimeSpan.Zero, TimeSpan.FromMilliseconds(100)));
            Assert.That(Dialer.Backoff(1, timeout), Is.InRange(TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(200)));
            Assert.That(Dialer.Backoff(50, timeout), Is.InRange(timeout / 12, timeout / 6));
            Assert.That(Dialer.Backoff(50, TimeSpan.FromMinutes(1)), Is.InRange(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(1)));
        }
    }
}
